"""What fields of bodies may hold, and how times and lists are written."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from parlor.validation import OWN_WORDS

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_PROSE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# White space, and what Unicode has nothing drawn for (Default_Ignorable_Code_Point, and blank symbols).
_NOTHING = re.compile(
    "[\\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001d159\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]*"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", re.ASCII)


class Body(BaseModel):
    """What a client sends: known fields only, and no type stands in for another."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Shown(BaseModel):
    """What a client gets, read from the entity's or view's attributes."""

    model_config = ConfigDict(from_attributes=True)


def refused(code: str) -> PydanticCustomError:
    """Make the error that a validator raises: one of our own codes."""
    return PydanticCustomError(code, OWN_WORDS[code])


def _one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise refused("control_character")
    return text


def _prose(text: str) -> str:
    if _CONTROL_IN_PROSE.search(text):
        raise refused("control_character")
    return text


def visible(text: str) -> str:
    """Answer a text in which there is something to see. Raises the error `blank`."""
    if _NOTHING.fullmatch(text):
        raise refused("blank")
    return text


def _time(value: object) -> datetime:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise refused("invalid_time")
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise refused("time_zone_needed")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise error if isinstance(error, PydanticCustomError) else refused("invalid_time") from None


def write_time(moment: datetime) -> str:
    """Write a time as RFC 3339 in UTC, always to the microsecond."""
    here = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return here.isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"


def _sorted(words: Iterable[str]) -> list[str]:
    return sorted(words)


_TIME_SCHEMA: dict[str, Any] = {"type": "string", "format": "date-time"}

OneLine = Annotated[str, AfterValidator(_one_line)]
Words = Annotated[str, AfterValidator(_one_line), AfterValidator(visible)]
Prose = Annotated[str, AfterValidator(_prose)]
GivenTime = Annotated[datetime, BeforeValidator(_time), WithJsonSchema(_TIME_SCHEMA)]
ShownTime = Annotated[datetime, PlainSerializer(write_time), WithJsonSchema(_TIME_SCHEMA)]
SortedWords = Annotated[list[str], BeforeValidator(_sorted)]


class ProblemFlaw(BaseModel):
    """One thing wrong with a request."""

    pointer: str = Field(
        description="A JSON pointer into the body, or `query:limit`, `path:id`, `header:Name`."
    )
    code: str
    detail: str


class Problem(BaseModel):
    """An error (RFC 9457); `errors` only with 422."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="A stable word to switch on; `docs/problems.md` lists all of them.")
    request_id: str
    errors: list[ProblemFlaw] | None = None
