"""pydantic behind the `Payloads` port: one strict model a kind, built from its handler's annotations at start-up."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field as DataclassField, dataclass, fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import annotated_types
import orjson
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    create_model,
)

from parlor.core.shared.errors import Flaw
from parlor.core.shared.rules import Length, Pattern, Range, Secret, WrongField
from parlor.core.tasks.kinds import InvalidPayload
from parlor.core.tasks.ports import AnyHandler, Checked
from parlor.validation import flaws_of

MEMBER = "field_"
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an escape, not an escaped backslash before u0000
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class _Shape:
    payload: type[Any]
    members: Mapping[str, str]  # the model's names, and the payload's
    model: type[BaseModel]
    result: TypeAdapter[Any]
    secrets: frozenset[str]

    def instance(self, values: BaseModel) -> object:
        """Make the handler's own payload."""
        return self.payload(**{name: getattr(values, member) for member, name in self.members.items()})


class PydanticPayloads:
    """Port `Payloads`."""

    def __init__(self, handlers: Sequence[AnyHandler]) -> None:
        self._shapes = {handler.kind: _shape(handler) for handler in handlers}

    def check(self, kind: str, payload: Mapping[str, object]) -> Checked:
        """Validate what came in; what is kept has its defaults filled in and its secret fields apart."""
        shape = self._shapes[kind]
        values, _ = _validated(shape, payload)
        kept = values.model_dump(mode="json", by_alias=True)
        given = {shape.members[member] for member in values.model_fields_set}
        secrets = {name: kept[name] for name in shape.secrets & given if kept[name] not in (None, {})}
        return Checked({name: kept[name] for name in kept if name not in shape.secrets}, secrets or None)

    def build(self, kind: str, payload: Mapping[str, object]) -> object:
        """Make the handler's dataclass."""
        return _validated(self._shapes[kind], payload)[1]

    def result_json(self, kind: str, result: object) -> str:
        """Write a result; jsonb takes no NUL, so one is refused here."""
        written: bytes = self._shapes[kind].result.serializer.to_json(result, warnings="error")
        if NUL.search(written):
            raise ValueError("a result holds a NUL character")
        return written.decode()

    def describe(self, kind: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """Answer both JSON Schemas."""
        shape = self._shapes[kind]
        return shape.model.model_json_schema(), shape.result.json_schema(mode="serialization")


def _validated(shape: _Shape, payload: Mapping[str, object]) -> tuple[BaseModel, object]:
    """Check the fields, then what the payload itself says of them together."""
    try:
        values = shape.model.model_validate_json(orjson.dumps(payload))
        return values, shape.instance(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise InvalidPayload(flaws=flaws_of(found, within=("body", "payload"))) from error
    except WrongField as error:
        flaw = Flaw(f"/payload/{error.field}", "invalid_payload", str(error))
        raise InvalidPayload(flaws=[flaw]) from error
    except (TypeError, ValueError) as error:
        raise InvalidPayload(flaws=[Flaw("/payload", "invalid_payload", str(error))]) from error


def _shape(handler: AnyHandler) -> _Shape:
    hints = get_type_hints(type(handler).__call__, include_extras=True)
    payload, result = hints["payload"], hints["return"]
    annotations = get_type_hints(payload, include_extras=True)
    members: dict[str, Any] = {
        MEMBER + field.name: (_translated(annotations[field.name]), _member(field))
        for field in fields(payload)
    }
    return _Shape(
        payload=payload,
        members={MEMBER + field.name: field.name for field in fields(payload)},
        model=create_model(payload.__name__, __config__=STRICT, __doc__=payload.__doc__, **members),
        result=TypeAdapter(result),
        secrets=frozenset(name for name, hint in annotations.items() if _secret(hint)),
    )


def _member(field: DataclassField[Any]) -> Any:
    """Name the member after the field, out of the way of pydantic's own (`json`, `copy`)."""
    if field.default is not MISSING:
        return Field(field.default, alias=field.name)
    if field.default_factory is not MISSING:
        return Field(default_factory=field.default_factory, alias=field.name)
    return Field(alias=field.name)


def _secret(hint: object) -> bool:
    return get_origin(hint) is Annotated and any(isinstance(rule, Secret) for rule in get_args(hint)[1:])


def _translated(hint: Any) -> Any:
    """Replace our rules by what pydantic knows, also inside of `dict[Annotated[str, ...], ...]` and unions."""
    if get_origin(hint) is not Annotated:
        return hint
    inner, *rules = get_args(hint)
    known = [one for rule in rules for one in _known(rule)]
    return Annotated[(inner, *known)] if known else inner


def _known(rule: object) -> Sequence[object]:
    match rule:
        case Length(least, most):
            return [annotated_types.Len(least, most)]
        case Range(least, most):
            bounds = (
                annotated_types.Ge(least) if least is not None else None,
                annotated_types.Le(most) if most is not None else None,
            )
            return [bound for bound in bounds if bound is not None]
        case Pattern(regex):
            return [StringConstraints(pattern=f"^(?:{regex})$")]
        case _:
            return []
