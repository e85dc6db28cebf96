"""JSON as the contract has it: stricter than Python's reader, and NFC on the way in."""

import json
import math
import re
import unicodedata
from typing import Any, NoReturn

from parlor.core.shared.errors import Invalid
from parlor.entrypoints.http.errors import InvalidJson
from parlor.validation import json_pointer, own_flaw

MAX_DEPTH = 64
WHOLE_NUMBERS = range(-(2**63), 2**63)
MAX_DIGITS = 20

# Line breaks and tabs are some texts' own business; the schemas of the others refuse them.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class _Refused(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
        self.path: list[object] = []


def read_json(raw: bytes) -> Any:
    """Read a body. Raises InvalidJson for what is no JSON, Invalid for what no text or number may hold."""
    value = _parsed(raw)
    if _too_deep(raw, value):
        raise InvalidJson(f"The body is nested deeper than {MAX_DEPTH} levels.")
    return tidied(value)


def tidied(value: Any) -> Any:
    """Put the texts of a value into NFC. Raises Invalid for what no text or number may hold."""
    try:
        return _tidy(value)
    except _Refused as refused:
        pointer = json_pointer(reversed(refused.path))
        raise Invalid(flaws=[own_flaw(pointer, refused.code)]) from None


def _parsed(raw: bytes) -> Any:
    if not raw:
        raise InvalidJson("A body is needed.")
    try:
        return _READER.decode(raw.decode("utf-8"))
    except RecursionError:
        raise InvalidJson(f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except UnicodeDecodeError:
        raise InvalidJson("The body is not in UTF-8.") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"The body is not JSON (line {error.lineno}, column {error.colno}).") from None


def _too_deep(raw: bytes, value: Any) -> bool:
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
    return any(isinstance(node, dict | list) for node in level)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _tidy(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list):
        return [_inside(index, item) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise _Refused("number_too_large")
    return value


def _object(members: dict[str, Any]) -> dict[str, Any]:
    tidied = {_text(name): _inside(name, value) for name, value in members.items()}
    if len(tidied) != len(members):
        raise InvalidJson("A key occurs twice.")
    return tidied


def _inside(name: object, value: Any) -> Any:
    try:
        return _tidy(value)
    except _Refused as refused:
        refused.path.append(name)
        raise


def _text(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    if _SURROGATE.search(text):
        raise _Refused("lone_surrogate")
    if _CONTROL.search(text):
        raise _Refused("control_character")
    return unicodedata.normalize("NFC", text)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJson("A key occurs twice.")
    return members


def _whole_number(text: str) -> int | float:
    """Answer infinity for what no column holds; where it stands is known only later."""
    if len(text) > MAX_DIGITS:
        return math.inf
    number = int(text)
    return number if number in WHOLE_NUMBERS else math.inf


def _no_number(_: str) -> NoReturn:
    raise InvalidJson("NaN and Infinity are not JSON.")


_READER = json.JSONDecoder(
    object_pairs_hook=_without_twins, parse_int=_whole_number, parse_constant=_no_number
)
