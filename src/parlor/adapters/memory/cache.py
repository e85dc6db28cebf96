"""The cache of a process that is alone."""

import itertools
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parlor.core.shared.caching import Cached

# Longer than the 15 s after which PostgreSQL ends an idle transaction: the mark of a writer that was
# cancelled outlives what it wrote.
MARK_LIFE_S = 30.0
CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A value and the moment from which it counts no more."""

    value: bytes
    until: float


class MemoryCache:
    """Port Cache. Holds `capacity` values, the least recently used go first.

    A key's generation is a lease: a mark and a drop take it away, none is given while a mark stands, and
    without it nothing is stored.
    """

    def __init__(
        self,
        *,
        capacity: int = CAPACITY,
        mark_life_s: float = MARK_LIFE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity = capacity
        self._mark_life_s = mark_life_s
        self._monotonic = monotonic
        self._generations = itertools.count(1)
        self._values: OrderedDict[str, Kept] = OrderedDict()
        self._leases: OrderedDict[str, int] = OrderedDict()
        self._marks: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._marked: Counter[str] = Counter()

    async def look(self, key: str) -> Cached:
        """Answer the value, else the lease as its generation."""
        kept = self._values.get(key)
        if kept is not None and self._monotonic() < kept.until:
            self._values.move_to_end(key)
            return Cached(kept.value, None)
        return Cached(None, self._lease(key))

    async def store(self, key: str, value: bytes, *, generation: int, ttl_s: float) -> None:
        """Store under a lease that still stands."""
        if self._leases.get(key) == generation:
            self._values[key] = Kept(value, self._monotonic() + ttl_s)
            self._values.move_to_end(key)
            _shrink(self._values, self._capacity)

    async def mark(self, keys: Sequence[str]) -> str:
        """Mark for 30 s at most."""
        self._end_old_marks()
        mark = secrets.token_hex(8)
        ends = self._monotonic() + self._mark_life_s
        for key in set(keys):
            self._forget(key)
            self._marks[key, mark] = ends
            self._marked[key] += 1
        return mark

    async def drop(self, keys: Sequence[str], mark: str) -> None:
        """End the mark, and forget the keys."""
        for key in set(keys):
            self._forget(key)
            self._end_mark(key, mark)

    def _lease(self, key: str) -> int | None:
        self._end_old_marks()
        if key in self._marked:
            return None
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = next(self._generations)
            _shrink(self._leases, self._capacity)
        return lease

    def _forget(self, key: str) -> None:
        self._values.pop(key, None)
        self._leases.pop(key, None)

    def _end_old_marks(self) -> None:
        # All live equally long, so the first made are the first to end.
        now = self._monotonic()
        while self._marks and next(iter(self._marks.values())) <= now:
            self._end_mark(*next(iter(self._marks)))

    def _end_mark(self, key: str, mark: str) -> None:
        if self._marks.pop((key, mark), None) is not None:
            self._marked[key] -= 1
            if not self._marked[key]:
                del self._marked[key]


def _shrink(kept: OrderedDict[str, Kept] | OrderedDict[str, int], capacity: int) -> None:
    if len(kept) > capacity:
        kept.popitem(last=False)
