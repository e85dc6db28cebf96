"""What pydantic refuses, in bodies and payloads, as flaws: a pointer, a stable code, a sentence, never the value."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from parlor.core.shared.errors import Flaw

MAX_FLAWS = 50
MAX_NAME = 128

# pydantic's error types → our code and sentence. What the table does not know is an `invalid_value`.
WORDS: Mapping[str, tuple[str, str]] = {
    "missing": ("required", "This is needed."),
    "extra_forbidden": ("unknown_field", "There is no such field."),
    "string_too_short": ("too_short", "This needs at least {min_length} characters."),
    "string_too_long": ("too_long", "This may have at most {max_length} characters."),
    "too_short": ("too_short", "This needs at least {min_length} items."),
    "too_long": ("too_long", "This may have at most {max_length} items."),
    "string_type": ("wrong_type", "This must be a string."),
    "int_type": ("wrong_type", "This must be a whole number."),
    "int_parsing": ("wrong_type", "This must be a whole number."),
    "int_from_float": ("wrong_type", "This must be a whole number."),
    "float_type": ("wrong_type", "This must be a number."),
    "float_parsing": ("wrong_type", "This must be a number."),
    "bool_type": ("wrong_type", "This must be true or false."),
    "bool_parsing": ("wrong_type", "This must be true or false."),
    "dict_type": ("wrong_type", "This must be an object."),
    "model_type": ("wrong_type", "This must be an object."),
    "model_attributes_type": ("wrong_type", "This must be an object."),
    "list_type": ("wrong_type", "This must be a list."),
    "int_parsing_size": ("out_of_range", "This number is too large."),
    "greater_than_equal": ("out_of_range", "This must be at least {ge}."),
    "greater_than": ("out_of_range", "This must be greater than {gt}."),
    "less_than_equal": ("out_of_range", "This must be at most {le}."),
    "less_than": ("out_of_range", "This must be less than {lt}."),
    "finite_number": ("out_of_range", "This must be a finite number."),
    "enum": ("not_allowed", "This must be one of {expected}."),
    "literal_error": ("not_allowed", "This must be one of {expected}."),
    "uuid_parsing": ("invalid_uuid", "This must be a UUID."),
    "uuid_type": ("invalid_uuid", "This must be a UUID."),
    "string_pattern_mismatch": ("invalid_format", "This has not the right form."),
}
# What our own annotations and the reading of bodies say.
OWN_WORDS: Mapping[str, str] = {
    "blank": "This needs a visible character.",
    "too_many_bytes": "This may have at most 32 bytes of UTF-8.",
    "control_character": "This holds a control character.",
    "invalid_encoding": "This is not UTF-8.",
    "lone_surrogate": "This holds half a character.",
    "number_too_large": "This number is outside what this server can hold.",
    "invalid_time": "This must be a time as in RFC 3339.",
    "time_zone_needed": "This time needs its zone: an offset, or Z.",
    "too_long_ago": "This lies too far in the past.",
    "too_far_ahead": "This lies too far in the future.",
    "invalid_value": "This value cannot be taken.",
}


def flaws_of(errors: Sequence[Mapping[str, Any]], *, within: tuple[str, ...] = ()) -> list[Flaw]:
    """Translate what pydantic found, the first 50 of it; locations count from `within`."""
    return [_flaw(error, within) for error in errors[:MAX_FLAWS]]


def own_flaw(pointer: str, code: str) -> Flaw:
    """Make a flaw with one of our own codes."""
    return Flaw(pointer, code, OWN_WORDS[code])


def json_pointer(path: Iterable[object]) -> str:
    """Write a JSON pointer (RFC 6901). A name that is absurdly long ends it: answers do not repeat bodies."""
    pointer = ""
    for part in path:
        name = str(part)
        if len(name) > MAX_NAME or not name.isprintable():
            break
        pointer += "/" + name.replace("~", "~0").replace("/", "~1")
    return pointer


def _flaw(error: Mapping[str, Any], within: tuple[str, ...]) -> Flaw:
    pointer, kind = _pointer((*within, *error["loc"])), _kind(error)
    if kind not in WORDS:
        return own_flaw(pointer, kind if kind in OWN_WORDS else "invalid_value")
    code, sentence = WORDS[kind]
    return Flaw(pointer, code, sentence.format_map(error.get("ctx", {})))


def _kind(error: Mapping[str, Any]) -> str:
    """Behind a validator of ours pydantic knows no text any more, and counts the items of a `Value`."""
    kind: str = error["type"]
    return f"string_{kind}" if error.get("ctx", {}).get("field_type") == "Value" else kind


def _pointer(location: Sequence[object]) -> str:
    place, *rest = location
    return json_pointer(rest) if place == "body" else f"{place}:{'.'.join(map(str, rest))}"
