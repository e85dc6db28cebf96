"""API keys in memory."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime

from parlor.core.identity.api_keys import ApiKey, KnownKey, PrefixTaken
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ApiKeyId, UserId


@dataclass(slots=True)
class ApiKeyStore:
    """Rows by their id."""

    api_keys: dict[ApiKeyId, ApiKey] = field(default_factory=dict)


class FakeApiKeys:
    """Port ApiKeys."""

    def __init__(self, store: ApiKeyStore) -> None:
        self._rows = store.api_keys

    async def add(self, key: ApiKey) -> None:
        if any(row.prefix == key.prefix for row in self._rows.values()):
            raise PrefixTaken
        self._rows[key.id] = deepcopy(key)

    async def get(self, key_id: ApiKeyId) -> ApiKey:
        if key_id not in self._rows:
            raise NotFound
        return deepcopy(self._rows[key_id])

    async def get_by_prefix(self, prefix: str) -> ApiKey | None:
        return deepcopy(next((row for row in self._rows.values() if row.prefix == prefix), None))

    async def count(self, maker_id: UserId) -> int:
        return sum(row.maker_id == maker_id and row.revoked_at is None for row in self._rows.values())

    async def save(self, key: ApiKey) -> None:
        row = self._rows[key.id]
        row.scopes, row.revoked_at = key.scopes, key.revoked_at


class FakeKeyRing:
    """Port KnownKeys: what has been committed, and what was read of it. Counts how often it is asked."""

    def __init__(self, store: Callable[[], ApiKeyStore]) -> None:
        self._store = store
        self._known: dict[str, KnownKey | None] = {}
        self.asked = 0

    async def find(self, prefix: str) -> KnownKey | None:
        self.asked += 1
        found = (row for row in self._store().api_keys.values() if row.prefix == prefix)
        self._known[prefix] = next(map(known, found), None)
        return self._known[prefix]

    def last_known(self, prefix: str) -> KnownKey | None:
        return self._known.get(prefix)


@dataclass(slots=True)
class FakeKeyUses:
    """Port KeyUses: remembers all."""

    noted: dict[ApiKeyId, datetime] = field(default_factory=dict)

    def note(self, key_id: ApiKeyId, at: datetime) -> None:
        self.noted[key_id] = at


def known(key: ApiKey) -> KnownKey:
    """Show a key as it is checked by."""
    return KnownKey(
        id=key.id,
        prefix=key.prefix,
        fingerprint=key.fingerprint,
        scopes=key.scopes,
        maker_id=key.maker_id,
        expires_at=key.expires_at,
        revoked=key.revoked_at is not None,
    )
