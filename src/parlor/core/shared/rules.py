"""What a payload's field may hold, for `Annotated` fields of a handler's dataclasses."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Length:
    """A text's or collection's length, both ends included."""

    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """A number's bounds, both ends included."""

    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that the whole text must match."""

    regex: str


class WrongField(ValueError):
    """For a payload's `__post_init__`: what is wrong with one of its fields, never with the value in it."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


@dataclass(frozen=True, slots=True)
class Secret:
    """A top-level field that is never shown again and is dropped from the row when the task ends."""
