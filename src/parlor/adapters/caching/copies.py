"""What was read a moment ago, kept in this process for a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from parlor.core.shared.caching import Looks
from parlor.core.shared.feed import Feed

KEPT_FOR_S = 1.0
CAPACITY = 10_000

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Kept(Generic[ValueT]):
    """A value and the moment from which it counts no more."""

    value: ValueT
    until: float


class Copies(Generic[KeyT, ValueT]):
    """Copies of what `read` answers: at most 1 s old, counted from before it was read.

    One goes at once when the feed says so on `channel`: `named_in` tells which keys a message means, and raises
    ValueError where another release says it in other words. While the feed is not live, nothing is kept. That there
    is nothing under a key is kept only where `keep_absent` says so.
    """

    def __init__(
        self,
        read: Callable[[KeyT], Awaitable[ValueT | None]],
        feed: Feed,
        channel: str,
        named_in: Callable[[bytes], Iterable[KeyT]],
        *,
        keep_absent: bool = False,
        capacity: int = CAPACITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._feed = feed
        self._channel = channel
        self._named_in = named_in
        self._keep_absent = keep_absent
        self._capacity = capacity
        self._monotonic = monotonic
        self._kept: dict[KeyT, Kept[ValueT | None]] = {}
        self._loading: dict[KeyT, asyncio.Task[ValueT | None]] = {}
        self.looks = Looks()
        feed.listen(channel, self._heard)

    async def copy_of(self, key: KeyT) -> ValueT | None:
        """Answer the copy, or read; who asks for the same one meanwhile waits for the same reading."""
        if not self._feed.live(self._channel):
            self._forget_all()
            self.looks.missed += 1
            return await self._read(key)
        kept = self._kept.get(key)
        if kept is not None and self._counts(kept):
            self.looks.hit += 1
            return kept.value
        self.looks.missed += 1
        # Shielded: one who goes away must not end the reading for the others.
        return await asyncio.shield(self._loading.get(key) or self._load(key))

    def last_copy_of(self, key: KeyT) -> ValueT | None:
        """Recall what was read last, however long ago, unless it was said to have changed since."""
        kept = self._kept.get(key)
        return None if kept is None else kept.value

    def forget(self, keys: Iterable[KeyT]) -> None:
        """Drop these copies; what is being read about them right now is not kept either."""
        for key in keys:
            self._kept.pop(key, None)
            self._loading.pop(key, None)

    def _heard(self, message: bytes) -> None:
        try:
            self.forget(self._named_in(message))
        except ValueError:
            self._forget_more()

    def _counts(self, kept: Kept[ValueT | None]) -> bool:
        return self._monotonic() < kept.until and (kept.value is None or self._good(kept.value))

    def _good(self, _value: ValueT) -> bool:
        """Whether what the copy was made with still holds."""
        return True

    def _forget_more(self) -> None:
        """Forget all, where nobody says what has changed."""
        self._forget_all()

    def _forget_all(self) -> None:
        self._kept.clear()
        self._loading.clear()

    def _load(self, key: KeyT) -> asyncio.Task[ValueT | None]:
        until = self._monotonic() + KEPT_FOR_S
        reading = asyncio.create_task(self._read_one(key))
        reading.add_done_callback(partial(self._loaded, key, until))
        self._loading[key] = reading
        return reading

    async def _read_one(self, key: KeyT) -> ValueT | None:
        return await self._read(key)

    def _loaded(self, key: KeyT, until: float, reading: asyncio.Task[ValueT | None]) -> None:
        failed = reading.cancelled() or reading.exception() is not None
        if self._loading.get(key) is not reading:
            return  # it changed since this began: what was read may be the past
        del self._loading[key]
        if not failed and (self._keep_absent or reading.result() is not None):
            self._keep(key, Kept(reading.result(), until))

    def _keep(self, key: KeyT, kept: Kept[ValueT | None]) -> None:
        self._kept.pop(key, None)  # so that the dictionary's order is the order of age
        self._kept[key] = kept
        if len(self._kept) > self._capacity:
            del self._kept[next(iter(self._kept))]
