"""Facts that aggregates publish: frozen, made of shared ids and plain values, never undone."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Event:
    """Something that became true with the transaction that published it.

    `name` is `<context>.<fact>`, `version` the version of its fields (a field is never given another meaning).
    A field that would be called like one of these ends with an underscore, which does not travel: `name_`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @property
    def subject(self) -> UUID:
        """The aggregate that it happened to."""
        raise NotImplementedError


Plain = str | int | bool | float | None


def plain_fields(event: Event) -> dict[str, Plain]:
    """The event's own fields, in JSON's types: what a subscriber gets as the body."""
    return {told_as(field.name): _plain(getattr(event, field.name)) for field in fields(event)}


def told_as(field: str) -> str:
    """Answer what an event's field is called in what a subscriber gets."""
    return field.removesuffix("_")


def _plain(value: object) -> Plain:
    match value:
        case None | bool() | int() | float():
            return value
        case UUID() | str():
            return str(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            raise TypeError(f"an event carries plain values only, not {type(value).__name__}")
