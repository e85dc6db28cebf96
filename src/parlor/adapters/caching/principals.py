"""The users that requests act as, kept in this process for a second."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from parlor.adapters.caching.copies import CAPACITY, Copies
from parlor.adapters.caching.role_book import CachedRoleBook
from parlor.core.identity.hints import CHANNEL, EVERYBODY, naming_users, users_in
from parlor.core.identity.ports import Directory, Snapshot
from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import UserId


@dataclass(frozen=True, slots=True)
class Reading:
    """A snapshot, and the role book that its permissions are from."""

    snapshot: Snapshot
    book: Mapping[str, frozenset[str]]


class CachedPrincipals(Copies[UserId, Reading]):
    """Port Principals, in front of the directory.

    A snapshot goes at once when the feed (or this process itself) says that its user changed; all go when what
    roles permit did.
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
        super().__init__(self._reading, feed, CHANNEL, users_in, capacity=capacity, monotonic=monotonic)
        self._directory = directory
        self._book = book

    async def find(self, user_id: UserId) -> Snapshot | None:
        """Answer the copy, or read."""
        reading = await self.copy_of(user_id)
        return None if reading is None else reading.snapshot

    async def announce(self, user_ids: Sequence[UserId]) -> None:
        """Forget these users here, then tell the other processes. Never raises; takes 0.2 s at most."""
        self.forget(user_ids)
        await self._feed.publish(CHANNEL, naming_users(user_ids))

    async def announce_roles(self) -> None:
        """Forget here what roles permit, then tell the other processes. Never raises; takes 0.2 s at most."""
        self._forget_more()
        await self._feed.publish(CHANNEL, EVERYBODY)

    def _good(self, value: Reading) -> bool:
        return value.book is self._book.present()

    def _forget_more(self) -> None:
        self._book.forget()
        super()._forget_more()

    async def _reading(self, user_id: UserId) -> Reading | None:
        book = await self._book.read()
        snapshot = await self._directory.by_id(user_id)  # in this order: its permissions are no older
        return None if snapshot is None else Reading(snapshot, book)
