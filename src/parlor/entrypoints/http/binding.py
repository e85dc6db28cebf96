"""An endpoint's parameters, read from the request.

FastAPI finds out anew with every request what an endpoint takes, which costs more than all the rest of a short
request. Endpoints of the plain shape (the caller, the request, single path and query parameters, one JSON body, and
a `Response` as the answer) are bound here once; the checks are FastAPI's own fields.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Self, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from parlor.core.shared.errors import Invalid
from parlor.entrypoints.http.auth import takers_of
from parlor.entrypoints.http.call import Call
from parlor.entrypoints.http.limits import limits_of
from parlor.validation import flaws_of

REPLACED = "\ufffd"
COLLECTIONS = frozenset({list, set, frozenset, tuple})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value that a client sends: `check` answers it converted, and the errors."""

    name: str
    place: tuple[str, ...]
    key: str
    needed: bool
    default: object
    check: Callable[..., tuple[Any, list[dict[str, Any]]]]

    @classmethod
    def of(cls, field: Any, place: str) -> Self:
        """Take over a field of FastAPI's."""
        location = (place,) if place == "body" else (place, field.alias)
        needed = field.field_info.is_required()
        default = None if needed else field.get_default()
        return cls(field.name, location, field.alias, needed, default, field.validate)


@dataclass(slots=True)
class Values:
    """What was read so far, and what was wrong with it."""

    good: dict[str, object]
    errors: list[dict[str, Any]]

    def take(self, parameter: Parameter, sent: Any) -> None:
        """Check one value."""
        value, errors = parameter.check(sent, loc=parameter.place)
        self.good[parameter.name] = value
        self.errors += errors

    def refuse(self, parameter: Parameter) -> None:
        """Note that one is no text."""
        self.errors.append({"type": "invalid_encoding", "loc": parameter.place})

    def miss(self, parameter: Parameter) -> None:
        """Note that one was not sent."""
        self.good[parameter.name] = copy(parameter.default)
        if parameter.needed:
            self.errors.append({"type": "missing", "loc": parameter.place})


@dataclass(frozen=True, slots=True)
class Binding:
    """All that an endpoint takes."""

    takers: Mapping[str, Callable[[Call], object]]
    path: Sequence[Parameter]
    query: Sequence[Parameter]
    body: Parameter | None
    request_name: str | None

    @classmethod
    def of(cls, route: APIRoute) -> Self | None:
        """Bind a route's endpoint, if it is of the plain shape."""
        dependant = route.dependant
        if not _plain(route):
            return None
        return cls(
            takers=takers_of(dependant),
            path=[Parameter.of(field, "path") for field in dependant.path_params],
            query=[Parameter.of(field, "query") for field in dependant.query_params],
            body=Parameter.of(dependant.body_params[0], "body") if dependant.body_params else None,
            request_name=dependant.request_param_name,
        )

    def arguments(self, call: Call, scope: Scope, receive: Receive, sent: Any) -> dict[str, object]:
        """Read all of them; raises Invalid with every flaw, then PersonRequired where an API key is nobody."""
        values = Values({}, [])
        self._read_path(scope, values)
        if self.query:
            self._read_query(scope["query_string"], values)
        if self.body is not None:
            values.take(self.body, sent)
        if self.request_name is not None:
            values.good[self.request_name] = Request(scope, receive)
        if values.errors:
            raise Invalid(flaws=flaws_of(values.errors))
        for name, taken in self.takers.items():
            values.good[name] = taken(call)
        return values.good

    def _read_path(self, scope: Scope, values: Values) -> None:
        """Take what the server has decoded, which put U+FFFD where there was no UTF-8; also, where it was sent so."""
        for parameter in self.path:
            sent = scope["path_params"][parameter.key]
            if REPLACED in sent and not _is_utf8(unquote_to_bytes(scope["raw_path"])):
                values.refuse(parameter)
            else:
                values.take(parameter, sent)

    def _read_query(self, raw: bytes, values: Values) -> None:
        query = _pairs(raw) if raw else {}
        for parameter in self.query:
            sent = query.get(parameter.key)
            if sent is None:
                values.miss(parameter)
            elif sent.isascii() or _is_utf8(sent.encode(errors="surrogateescape")):
                values.take(parameter, sent)
            else:
                values.refuse(parameter)


def _pairs(raw: bytes) -> Mapping[str, str]:
    """Read a query; of what is there twice, the last. Bytes that are no UTF-8 stay what they are."""
    return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"))


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _plain(route: APIRoute) -> bool:
    dependant = route.dependant
    answer = inspect.signature(route.endpoint).return_annotation
    return (
        inspect.iscoroutinefunction(route.endpoint)
        and isinstance(answer, type)
        and issubclass(answer, Response)
        and len(takers_of(dependant)) + len(limits_of(dependant)) == len(dependant.dependencies)
        and not _unusual(dependant)
        and _single_values(dependant)
        and (not dependant.body_params or takes_json(route))
    )


def takes_json(route: APIRoute) -> bool:
    """Whether the body is one JSON value: no form, no file, not several parameters."""
    form = any(isinstance(field.field_info, params.Form) for field in route.dependant.body_params)
    return route.body_field is not None and not form and len(route.dependant.body_params) == 1


def _unusual(dependant: Dependant) -> bool:
    return bool(
        dependant.header_params
        or dependant.cookie_params
        or dependant.response_param_name
        or dependant.background_tasks_param_name
        or dependant.http_connection_param_name
        or dependant.security_scopes_param_name
    )


def _single_values(dependant: Dependant) -> bool:
    fields = [*dependant.path_params, *dependant.query_params]
    return not any(get_origin(field.field_info.annotation) in COLLECTIONS for field in fields)
