"""Keyset pages: a page starts after a key, never at an offset."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Key = tuple[str, ...]
RowsT = TypeVar("RowsT")

MAX_LIMIT = 100
DEFAULT_LIMIT = 50


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How many rows (1-100), and the key of the row that they follow, if any."""

    limit: int = DEFAULT_LIMIT
    after: Key | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[RowsT]):
    """The rows of a page, and the key of its last row when more follow."""

    items: RowsT
    next_key: Key | None
