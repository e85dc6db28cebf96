"""A message's body as JSON, read as strictly as the HTTP API reads its own."""

import json
import math
import re

from parlor.core.tasks.foreign import Refused
from parlor.core.tasks.reasons import Reason

MAX_BODY_BYTES = 1024 * 1024
MOST_NESTED = 64
_JSON = re.compile(r"(?:application/json|[a-z0-9.+-]+/[a-z0-9.+-]+\+json)\s*(?:;.*)?", re.IGNORECASE)
# Half a character, or the escape of NUL (and not an escaped backslash before u0000).
_UNSTORABLE = re.compile(r"[\ud800-\udfff]|(?<!\\)(?:\\\\)*\\u0000")


def check_body(body: bytes, content_type: str | None) -> None:
    """Raise Refused unless it is JSON: UTF-8, no doubled keys, no NaN, no bottomless nesting, nothing unstorable."""
    if len(body) > MAX_BODY_BYTES:
        raise Refused(Reason.TOO_LARGE, f"The body is over {MAX_BODY_BYTES} bytes.")
    if content_type and not _JSON.fullmatch(content_type):
        raise Refused(Reason.NOT_JSON, "The content type is not application/json.")
    try:
        parsed = _READER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise Refused(Reason.NOT_JSON, "The body is not JSON in UTF-8.") from error
    if body.count(b"[") + body.count(b"{") >= MOST_NESTED and _depth(parsed) > MOST_NESTED:
        raise Refused(Reason.NOT_JSON, f"The body is nested deeper than {MOST_NESTED}.")
    # Only an escape can bring them in: raw, neither is JSON in UTF-8.
    if b"\\u" in body and _UNSTORABLE.search(json.dumps(parsed, ensure_ascii=False)):
        raise Refused(Reason.INVALID_MESSAGE, "The body holds a NUL or half a character.")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read_pairs = dict(pairs)
    if len(read_pairs) != len(pairs):
        raise ValueError("a key stands twice")
    return read_pairs


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """1e999 is well-formed, and would be read as the infinity that is not."""
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


# Made once: the library would make one for each message.
_READER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def _depth(value: object) -> int:
    deepest, level = 0, [value]
    while level and deepest <= MOST_NESTED:
        deepest += 1
        level = [child for parent in level for child in _children(parent)]
    return deepest


def _children(value: object) -> list[object]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
        case _:
            return []
