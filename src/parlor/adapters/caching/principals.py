"""The users that requests act as, kept in this process for a second."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from parlor.core.identity.hints import CHANNEL, naming_users, users_in
from parlor.core.identity.ports import Directory, Snapshot
from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import UserId

KEPT_FOR_S = 1.0
CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot and the moment from which it counts no more."""

    snapshot: Snapshot
    until: float


class CachedPrincipals:
    """Port Principals, in front of the directory.

    A snapshot is at most 1 s old, counted from before it was read, and goes at once when the feed (or this
    process itself) says that its user changed. While the feed is not live, nothing is kept.
    """

    def __init__(
        self,
        directory: Directory,
        feed: Feed,
        *,
        capacity: int = CAPACITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._feed = feed
        self._capacity = capacity
        self._monotonic = monotonic
        self._kept: dict[UserId, Kept] = {}
        self._loading: dict[UserId, asyncio.Task[Snapshot | None]] = {}
        feed.listen(CHANNEL, self._heard)

    async def find(self, user_id: UserId) -> Snapshot | None:
        """Answer the copy, or read; who asks for the same user meanwhile waits for the same reading."""
        if not self._feed.live(CHANNEL):
            self._forget_all()
            return await self._directory.by_id(user_id)
        kept = self._kept.get(user_id)
        if kept is not None and self._monotonic() < kept.until:
            return kept.snapshot
        # Shielded: one who goes away must not end the reading for the others.
        return await asyncio.shield(self._loading.get(user_id) or self._load(user_id))

    def forget(self, user_ids: Iterable[UserId]) -> None:
        """Drop these users' copies; what is being read about them right now is not kept either."""
        for user_id in user_ids:
            self._kept.pop(user_id, None)
            self._loading.pop(user_id, None)

    async def announce(self, user_ids: Sequence[UserId]) -> None:
        """Forget these users here, then tell the other processes. Never raises; takes 0.2 s at most."""
        self.forget(user_ids)
        await self._feed.publish(CHANNEL, naming_users(user_ids))

    def _heard(self, message: bytes) -> None:
        try:
            self.forget(users_in(message))
        except ValueError:  # another release says it in other words
            self._forget_all()

    def _forget_all(self) -> None:
        self._kept.clear()
        self._loading.clear()

    def _load(self, user_id: UserId) -> asyncio.Task[Snapshot | None]:
        until = self._monotonic() + KEPT_FOR_S
        reading = asyncio.create_task(self._read(user_id))
        reading.add_done_callback(partial(self._loaded, user_id, until))
        self._loading[user_id] = reading
        return reading

    async def _read(self, user_id: UserId) -> Snapshot | None:
        return await self._directory.by_id(user_id)

    def _loaded(self, user_id: UserId, until: float, reading: asyncio.Task[Snapshot | None]) -> None:
        snapshot = None if reading.cancelled() or reading.exception() else reading.result()
        if self._loading.get(user_id) is not reading:
            return  # its user changed since it began: what it read may be the past
        del self._loading[user_id]
        if snapshot is not None:
            self._keep(user_id, Kept(snapshot, until))

    def _keep(self, user_id: UserId, kept: Kept) -> None:
        self._kept.pop(user_id, None)  # so that the dictionary's order is the order of age
        self._kept[user_id] = kept
        if len(self._kept) > self._capacity:
            del self._kept[next(iter(self._kept))]
