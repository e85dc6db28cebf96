"""Hints that users and API keys changed, for whoever acts for one of them longer than a request lasts."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from parlor.core.shared.feed import Expected, Feed
from parlor.core.shared.ids import ApiKeyId, UserId

CHANNEL = "principals"
# What roles permit has changed, so anybody may have. No list of users reads like this.
EVERYBODY = b"*"
KEY_CHANNEL = "api_keys"


class UserHints(Protocol):
    """Hints that a user's status, roles or sessions changed, or an API key; one may be lost."""

    def expect(self, *hinted: UUID) -> AbstractContextManager[asyncio.Event]:
        """Give an event that every hint of these users and keys sets."""
        ...


class FeedUserHints(Expected):
    """Port `UserHints`, over the feed."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed, (CHANNEL, KEY_CHANNEL), self._named)

    def _named(self, message: bytes) -> Sequence[UUID]:
        try:
            return list(self._events) if message == EVERYBODY else _ids_in(message)
        except ValueError:
            return ()


def naming_users(user_ids: Iterable[UserId]) -> bytes:
    """Write what goes over the feed when these users have changed."""
    return ",".join(map(str, user_ids)).encode()


def users_in(message: bytes) -> list[UserId]:
    """Read it. Raises ValueError where another release says it in other words."""
    return [UserId(UUID(word)) for word in message.decode().split(",")]


def naming_keys(keys: Iterable[tuple[ApiKeyId, str]]) -> bytes:
    """Write what goes over the feed when API keys have changed: ids with prefixes."""
    return ",".join(f"{key_id}={prefix}" for key_id, prefix in keys).encode()


def prefixes_in(message: bytes) -> list[str]:
    """Read the prefixes of keys. Raises ValueError where another release says it in other words."""
    words = [word.partition("=") for word in message.decode().split(",")]
    if not all(parted for _, parted, _ in words):
        raise ValueError(message)
    return [prefix for _, _, prefix in words]


def _ids_in(message: bytes) -> list[UUID]:
    return [UUID(word.partition("=")[0]) for word in message.decode().split(",")]
