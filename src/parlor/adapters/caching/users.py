"""Readers' users out of the cache, and the writers' word that they change."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from parlor.adapters.caching.api_keys import CopiedKeyRing, cache_key
from parlor.adapters.caching.principals import CachedPrincipals
from parlor.core.identity.model import UserStatus
from parlor.core.identity.ports import Directory, Snapshot
from parlor.core.identity.roles import RoleBook, permitted
from parlor.core.shared.caching import Cache, Looks
from parlor.core.shared.ids import ApiKeyId, SessionId, UserId

TTL_S = 60.0
# What a role permits changes for all who hold it at once, perhaps everybody: no copy of a user says it.
KEPT = tuple(field.name for field in fields(Snapshot) if field.name != "permissions")


class CachedUsers:
    """Port Directory, in front of another. Users are kept for `ttl_s`, that somebody is absent never.

    What is kept names the roles; the permissions are put in from the role book.
    """

    def __init__(self, directory: Directory, cache: Cache, book: RoleBook, *, ttl_s: float = TTL_S) -> None:
        self._directory = directory
        self._cache = cache
        self._book = book
        self._ttl_s = ttl_s
        self.looks = Looks()

    async def by_id(self, user_id: UserId) -> Snapshot | None:
        """Find by id."""
        return await self._find(_id_key(user_id), lambda: self._directory.by_id(user_id))

    async def by_email(self, key: str) -> Snapshot | None:
        """Find by the key of `email_key`."""
        return await self._find(_email_key(key), lambda: self._directory.by_email(key))

    async def _find(self, key: str, load: Callable[[], Awaitable[Snapshot | None]]) -> Snapshot | None:
        cached = await self._cache.look(key)
        known = from_json(cached.value, await self._book.read()) if cached.value is not None else None
        if known is not None:
            self.looks.hit += 1
            return known
        self.looks.missed += 1
        found = await load()
        if found is not None and cached.generation is not None:
            await self._cache.store(key, to_json(found), generation=cached.generation, ttl_s=self._ttl_s)
        return found


class CachedUserChanges:
    """Port UserChanges: drops every copy of the changed users and keys, those in other processes by the feed."""

    def __init__(self, cache: Cache, principals: CachedPrincipals, keys: CopiedKeyRing) -> None:
        self._cache = cache
        self._principals = principals
        self._api_keys = keys

    async def about_to_change(
        self, users: Sequence[tuple[UserId, str]], keys: Sequence[tuple[ApiKeyId, str]] = ()
    ) -> str:
        """Mark them: from now on they are read from the database."""
        return await self._cache.mark(_names(users, keys))

    async def changed(
        self, users: Sequence[tuple[UserId, str]], mark: str, keys: Sequence[tuple[ApiKeyId, str]] = ()
    ) -> None:
        """End the mark, and tell every process. The cache first: who hears of it reads through it."""
        await self._cache.drop(_names(users, keys), mark)
        if users:
            await self._principals.announce([user_id for user_id, _ in users])
        if keys:
            await self._api_keys.announce(keys)

    async def roles_changed(self) -> None:
        """Have every process read the role book anew."""
        await self._principals.announce_roles()


def to_json(snapshot: Snapshot) -> bytes:
    """Write a snapshot, every field under its name, but the permissions."""
    return orjson.dumps({name: getattr(snapshot, name) for name in KEPT}, default=list)  # the frozen sets


def from_json(stored: bytes, book: Mapping[str, frozenset[str]]) -> Snapshot | None:
    """Read a snapshot with what its roles permit; None where another release wrote it in another shape."""
    try:
        return _snapshot(orjson.loads(stored), book)
    except (KeyError, TypeError, ValueError):
        return None


def _snapshot(kept: dict[str, Any], book: Mapping[str, frozenset[str]]) -> Snapshot:
    return Snapshot(
        id=UserId(UUID(kept["id"])),
        email=kept["email"],
        email_verified=kept["email_verified"],
        display_name=kept["display_name"],
        roles=tuple(kept["roles"]),
        permissions=permitted(book, kept["roles"]),
        status=UserStatus(kept["status"]),
        epoch=kept["epoch"],
        sessions=frozenset(SessionId(UUID(session)) for session in kept["sessions"]),
        created_at=datetime.fromisoformat(kept["created_at"]),
        updated_at=datetime.fromisoformat(kept["updated_at"]),
        version=kept["version"],
    )


def _names(users: Sequence[tuple[UserId, str]], keys: Sequence[tuple[ApiKeyId, str]]) -> list[str]:
    names = [name for user_id, email in users for name in (_id_key(user_id), _email_key(email))]
    return names + [cache_key(prefix) for _, prefix in keys]


def _id_key(user_id: UserId) -> str:
    return f"user:id:{user_id}"


def _email_key(key: str) -> str:
    return f"user:email:{key}"
