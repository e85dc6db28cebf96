"""What a body is read as: JSON, or on OAuth's routes a form (RFC 6749, appendix B)."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Self
from urllib.parse import unquote_to_bytes

from fastapi.dependencies.models import Dependant

from parlor.entrypoints.http.body import JSON, media_type, must_be_json, must_be_plain
from parlor.entrypoints.http.call import Call
from parlor.entrypoints.http.errors import BadRequest, UnsupportedMediaType
from parlor.entrypoints.http.schemas import Body
from parlor.entrypoints.http.strict_json import read_json, tidied

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 50

_ESCAPES = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class InvalidForm(BadRequest):
    """The body is no form: a field occurs twice, there are too many, or an escape or its text is broken."""

    code = "invalid_form"


class FormBody(Body):
    """What a client sends as a form, or as JSON where `media` has it too. In a form, unknown fields are left out."""

    media: ClassVar[Collection[str]] = (FORM,)


@dataclass(frozen=True, slots=True)
class BodyReader:
    """Reads the bodies of one route: the types that it takes, and the fields that a form may have."""

    media: Collection[str] = (JSON,)
    fields: Collection[str] = ()

    @classmethod
    def of(cls, dependant: Dependant) -> Self:
        """Find out what a route's body may be."""
        for field in dependant.body_params:
            kind = field.field_info.annotation
            if isinstance(kind, type) and issubclass(kind, FormBody):
                return cls(kind.media, kind.model_fields.keys())
        return cls()

    def read(self, call: Call, raw: bytes) -> Any:
        """Read it. Raises UnsupportedMediaType, InvalidJson, InvalidForm, and Invalid for what no text may hold."""
        media, utf8 = media_type(call)
        if FORM in self.media and media == FORM and utf8:
            must_be_plain(call)
            return {name: value for name, value in read_form(raw).items() if name in self.fields}
        if JSON not in self.media:
            raise UnsupportedMediaType(f"The body must be `{FORM}` in UTF-8, without any `Content-Encoding`.")
        if raw:
            must_be_json(call)
        return read_json(raw)


def read_form(raw: bytes) -> dict[str, Any]:
    """Read a form strictly: each name once, valid escapes, UTF-8. Raises InvalidForm, Invalid."""
    if not raw:
        raise InvalidForm("The form is empty.")
    pairs = raw.split(b"&")
    if len(pairs) > MOST_FIELDS:
        raise InvalidForm
    fields: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition(b"=")
        if _text(name) in fields:
            raise InvalidForm
        fields[_text(name)] = _text(value)
    read: dict[str, Any] = tidied(fields)
    return read


def _text(escaped: bytes) -> str:
    if _ESCAPES.search(escaped):
        raise InvalidForm
    try:
        return unquote_to_bytes(escaped.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise InvalidForm from None
