"""Hints that users changed, for whoever acts for one of them longer than a request lasts."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from parlor.core.shared.feed import Expected, Feed
from parlor.core.shared.ids import UserId

CHANNEL = "principals"
# What roles permit has changed, so anybody may have. No list of users reads like this.
EVERYBODY = b"*"


class UserHints(Protocol):
    """Hints that a user's status, roles or sessions changed; one may be lost."""

    def expect(self, user_id: UserId, /) -> AbstractContextManager[asyncio.Event]:
        """Give an event that every hint of this user sets."""
        ...


class FeedUserHints(Expected):
    """Port `UserHints`, over the feed."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed, (CHANNEL,), self._named)

    def _named(self, message: bytes) -> Sequence[UUID]:
        try:
            return list(self._events) if message == EVERYBODY else users_in(message)
        except ValueError:
            return ()


def naming_users(user_ids: Iterable[UserId]) -> bytes:
    """Write what goes over the feed when these users have changed."""
    return ",".join(map(str, user_ids)).encode()


def users_in(message: bytes) -> list[UserId]:
    """Read it. Raises ValueError where another release says it in other words."""
    return [UserId(UUID(word)) for word in message.decode().split(",")]
