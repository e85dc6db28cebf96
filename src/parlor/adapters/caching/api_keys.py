"""API keys out of the cache, and out of this process's own copies."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from parlor.adapters.caching.copies import CAPACITY, Copies
from parlor.core.identity.api_keys import KeyRing, KnownKey
from parlor.core.identity.hints import KEY_CHANNEL, naming_keys, prefixes_in
from parlor.core.shared.caching import Cache, Looks
from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import ApiKeyId, UserId

TTL_S = 60.0


class CachedKeyRing:
    """Port KeyRing, in front of another. Keys are kept for `ttl_s`, also revoked ones; absent ones never."""

    def __init__(self, keys: KeyRing, cache: Cache, *, ttl_s: float = TTL_S) -> None:
        self._keys = keys
        self._cache = cache
        self._ttl_s = ttl_s
        self.looks = Looks()

    async def find(self, prefix: str) -> KnownKey | None:
        """Find by prefix."""
        name = cache_key(prefix)
        cached = await self._cache.look(name)
        known = from_json(cached.value) if cached.value is not None else None
        if known is not None:
            self.looks.hit += 1
            return known
        self.looks.missed += 1
        found = await self._keys.find(prefix)
        if found is not None and cached.generation is not None:
            await self._cache.store(name, to_json(found), generation=cached.generation, ttl_s=self._ttl_s)
        return found


class CopiedKeyRing(Copies[str, KnownKey]):
    """Port KeyRing, in front of the cache. That there is no such key is kept too: who has one wrong asks again."""

    def __init__(
        self,
        keys: KeyRing,
        feed: Feed,
        *,
        capacity: int = CAPACITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            keys.find,
            feed,
            KEY_CHANNEL,
            prefixes_in,
            keep_absent=True,
            capacity=capacity,
            monotonic=monotonic,
        )

    async def find(self, prefix: str) -> KnownKey | None:
        """Answer the copy, or read."""
        return await self.copy_of(prefix)

    def last_known(self, prefix: str) -> KnownKey | None:
        """Recall what was read last, however long ago, unless it was said to have changed since."""
        return self.last_copy_of(prefix)

    async def announce(self, keys: Sequence[tuple[ApiKeyId, str]]) -> None:
        """Forget these keys here, then tell the other processes. Never raises; takes 0.2 s at most."""
        self.forget([prefix for _, prefix in keys])
        await self._feed.publish(KEY_CHANNEL, naming_keys(keys))


def cache_key(prefix: str) -> str:
    """Name a key in the cache."""
    return f"api_key:{prefix}"


def to_json(known: KnownKey) -> bytes:
    """Write a key, every field under its name."""
    return orjson.dumps(known, default=_plain)


def from_json(stored: bytes) -> KnownKey | None:
    """Read a key; None where another release of Parlor wrote it in another shape."""
    try:
        return _known(orjson.loads(stored))
    except (KeyError, TypeError, ValueError):
        return None


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, frozenset):
        return list(value)
    raise TypeError


def _known(fields: dict[str, Any]) -> KnownKey:
    maker, expires_at = fields["maker_id"], fields["expires_at"]
    return KnownKey(
        id=ApiKeyId(UUID(fields["id"])),
        prefix=fields["prefix"],
        fingerprint=bytes.fromhex(fields["fingerprint"]),
        scopes=frozenset(fields["scopes"]),
        maker_id=None if maker is None else UserId(UUID(maker)),
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        revoked=fields["revoked"],
    )
