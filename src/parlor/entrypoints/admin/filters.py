"""What a list can be narrowed to: only what an index finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, false, literal_column, select

from parlor.adapters.sql import tables
from parlor.core.identity.model import sought_key

Clause = Callable[[str], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Filter:
    """One field above a list: one of `options`, or a text. `clause` says which rows are meant."""

    name: str
    label: str
    clause: Clause
    options: Sequence[str] = ()


def one_of(column: ColumnElement[str], words: Sequence[str]) -> Clause:
    """Mean the rows that have this word of a few, written as it stands in the conditions of partial indexes."""
    return lambda word: column == literal_column(f"'{word}'") if word in words else false()


def id_is(column: ColumnElement[UUID]) -> Clause:
    """Mean the rows that have this id; a text that is none means no row."""

    def clause(text: str) -> ColumnElement[bool]:
        found = uuid_in(text)
        return false() if found is None else column == found

    return clause


def user_is(column: ColumnElement[UUID]) -> Clause:
    """Mean the rows of one user, named by id or e-mail address."""

    def clause(text: str) -> ColumnElement[bool]:
        found = uuid_in(text)
        if found is not None:
            return column == found
        users = tables.users
        return column == select(users.c.id).where(users.c.email_key == sought_key(text)).scalar_subquery()

    return clause


def uuid_in(text: str) -> UUID | None:
    """Read an id; None where it is none."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None
