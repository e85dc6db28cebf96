"""The users that requests act as, kept in this process for a second."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from parlor.adapters.caching.role_book import CachedRoleBook
from parlor.core.identity.hints import CHANNEL, EVERYBODY, naming_users, users_in
from parlor.core.identity.ports import Directory, Snapshot
from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import UserId

KEPT_FOR_S = 1.0
CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot, the moment from which it counts no more, and the role book that its permissions are from."""

    snapshot: Snapshot
    until: float
    book: Mapping[str, frozenset[str]]


Reading = tuple[Snapshot | None, Mapping[str, frozenset[str]]]


class CachedPrincipals:
    """Port Principals, in front of the directory.

    A snapshot is at most 1 s old, counted from before it was read, and goes at once when the feed (or this
    process itself) says that its user changed; all go when what roles permit did. While the feed is not live,
    nothing is kept.
    """

    def __init__(
        self,
        directory: Directory,
        feed: Feed,
        book: CachedRoleBook,
        *,
        capacity: int = CAPACITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._feed = feed
        self._book = book
        self._capacity = capacity
        self._monotonic = monotonic
        self._kept: dict[UserId, Kept] = {}
        self._loading: dict[UserId, asyncio.Task[Reading]] = {}
        feed.listen(CHANNEL, self._heard)

    async def find(self, user_id: UserId) -> Snapshot | None:
        """Answer the copy, or read; who asks for the same user meanwhile waits for the same reading."""
        if not self._feed.live(CHANNEL):
            self._forget_all()
            return await self._directory.by_id(user_id)
        kept = self._kept.get(user_id)
        if kept is not None and self._monotonic() < kept.until and kept.book is self._book.present():
            return kept.snapshot
        # Shielded: one who goes away must not end the reading for the others.
        snapshot, _ = await asyncio.shield(self._loading.get(user_id) or self._load(user_id))
        return snapshot

    def forget(self, user_ids: Iterable[UserId]) -> None:
        """Drop these users' copies; what is being read about them right now is not kept either."""
        for user_id in user_ids:
            self._kept.pop(user_id, None)
            self._loading.pop(user_id, None)

    async def announce(self, user_ids: Sequence[UserId]) -> None:
        """Forget these users here, then tell the other processes. Never raises; takes 0.2 s at most."""
        self.forget(user_ids)
        await self._feed.publish(CHANNEL, naming_users(user_ids))

    async def announce_roles(self) -> None:
        """Forget here what roles permit, then tell the other processes. Never raises; takes 0.2 s at most."""
        self._forget_everybody()
        await self._feed.publish(CHANNEL, EVERYBODY)

    def _heard(self, message: bytes) -> None:
        try:
            self.forget(users_in(message))
        except ValueError:  # everybody; or another release says it in other words
            self._forget_everybody()

    def _forget_everybody(self) -> None:
        self._book.forget()
        self._forget_all()

    def _forget_all(self) -> None:
        self._kept.clear()
        self._loading.clear()

    def _load(self, user_id: UserId) -> asyncio.Task[Reading]:
        until = self._monotonic() + KEPT_FOR_S
        reading = asyncio.create_task(self._read(user_id))
        reading.add_done_callback(partial(self._loaded, user_id, until))
        self._loading[user_id] = reading
        return reading

    async def _read(self, user_id: UserId) -> Reading:
        book = await self._book.read()
        return await self._directory.by_id(user_id), book  # in this order: its permissions are no older

    def _loaded(self, user_id: UserId, until: float, reading: asyncio.Task[Reading]) -> None:
        read = None if reading.cancelled() or reading.exception() else reading.result()
        if self._loading.get(user_id) is not reading:
            return  # its user changed since it began: what it read may be the past
        del self._loading[user_id]
        if read is not None and read[0] is not None:
            self._keep(user_id, Kept(read[0], until, read[1]))

    def _keep(self, user_id: UserId, kept: Kept) -> None:
        self._kept.pop(user_id, None)  # so that the dictionary's order is the order of age
        self._kept[user_id] = kept
        if len(self._kept) > self._capacity:
            del self._kept[next(iter(self._kept))]
