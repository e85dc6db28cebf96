"""A cache of bytes that no slow reader can fill with the past."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Cached:
    """What the cache knows of a key: the value, or the generation under which one may be stored (None: it may not)."""

    value: bytes | None
    generation: int | None


@dataclass(slots=True)
class Looks:
    """How often somebody who looked found it, and how often not."""

    hit: int = 0
    missed: int = 0


class Cache(Protocol):
    """Keys that writers mark before their commit and drop after it.

    Between mark and drop nothing is stored, and a value read before a drop is not stored after it, so that the
    answer to a write is never followed by a stale read. Never raises; with the cache away everything is a miss.
    """

    async def look(self, key: str) -> Cached: ...

    async def store(self, key: str, value: bytes, *, generation: int, ttl_s: float) -> None:
        """Store what was read under `generation`, unless the key was marked or dropped since."""
        ...

    async def mark(self, keys: Sequence[str]) -> str:
        """Forget the keys and store nothing under them until they are dropped; answers the mark's own name."""
        ...

    async def drop(self, keys: Sequence[str], mark: str) -> None:
        """Forget the keys and end this mark; another writer's stays."""
        ...
