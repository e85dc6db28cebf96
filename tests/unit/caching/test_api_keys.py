"""API keys in the caches: a second old at most in a process, gone at a word, and never lost on the way."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from parlor.adapters.caching.api_keys import CachedKeyRing, CopiedKeyRing, from_json, to_json
from parlor.adapters.caching.principals import CachedPrincipals
from parlor.adapters.caching.role_book import CachedRoleBook
from parlor.adapters.caching.users import CachedUserChanges
from parlor.adapters.memory.cache import MemoryCache
from parlor.adapters.memory.feed import MemoryFeed
from parlor.core.identity.api_keys import KnownKey
from parlor.core.identity.hints import KEY_CHANNEL, FeedUserHints, naming_keys, prefixes_in
from parlor.core.shared.feed import set_within
from parlor.core.shared.ids import ApiKeyId, UserId
from tests.unit.caching.directory import Pages, Stopwatch, Table
from tests.waiting import PATIENCE_S

KEY = KnownKey(
    id=ApiKeyId(UUID(int=1)),
    prefix="films",
    fingerprint=bytes(range(32)),
    scopes=frozenset({"films:watch", "tasks:create"}),
    maker_id=UserId(UUID(int=2)),
    expires_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    revoked=True,
)
PLAIN = replace(KEY, maker_id=None, expires_at=None, revoked=False)


class Ring:
    """A table of keys that counts how often it is read."""

    def __init__(self, *keys: KnownKey) -> None:
        self.keys = {key.prefix: key for key in keys}
        self.reads = 0

    async def find(self, prefix: str) -> KnownKey | None:
        self.reads += 1
        return self.keys.get(prefix)


class Process:
    """One process, over a table, a cache and a feed that it may share."""

    def __init__(self, ring: Ring, cache: MemoryCache, feed: MemoryFeed) -> None:
        self.stopwatch = Stopwatch()
        self.keys = CopiedKeyRing(CachedKeyRing(ring, cache), feed, monotonic=self.stopwatch)
        self.changes = CachedUserChanges(
            cache, CachedPrincipals(Table(), feed, CachedRoleBook(Pages())), self.keys
        )

    async def change(self, ring: Ring, *keys: KnownKey) -> None:
        """Store them, as a transaction does."""
        touched = [(key.id, key.prefix) for key in keys]
        mark = await self.changes.about_to_change([], touched)
        ring.keys |= {key.prefix: key for key in keys}
        await self.changes.changed([], mark, touched)


@pytest.fixture
def ring() -> Ring:
    return Ring(PLAIN)


@pytest.fixture
def processes(ring: Ring) -> Sequence[Process]:
    cache, feed = MemoryCache(), MemoryFeed()
    return [Process(ring, cache, feed) for _ in range(2)]


@pytest.mark.parametrize("key", [KEY, PLAIN], ids=["full", "plain"])
def test_every_field_of_a_key_comes_back(key: KnownKey) -> None:
    assert from_json(to_json(key)) == key
    assert all(getattr(KEY, field.name) for field in fields(KnownKey))


@pytest.mark.parametrize("stored", [b"", b"{", b"[]", b"{}", to_json(KEY).replace(b"prefix", b"name"), b"1"])
def test_what_another_release_wrote_is_read_anew(stored: bytes) -> None:
    assert from_json(stored) is None


async def test_a_key_is_read_once_for_all_processes(ring: Ring, processes: Sequence[Process]) -> None:
    for process in (*processes, *processes):
        assert await process.keys.find("films") == PLAIN
    assert ring.reads == 1


async def test_a_revoked_key_is_known_as_revoked_everywhere_at_once(
    ring: Ring, processes: Sequence[Process]
) -> None:
    for process in processes:
        await process.keys.find("films")
    await processes[0].change(ring, replace(PLAIN, revoked=True))
    for process in processes:
        known = await process.keys.find("films")
        assert known is not None
        assert known.revoked
    assert ring.reads == 2


async def test_who_repeats_an_unknown_key_costs_no_reading_a_time(
    ring: Ring, processes: Sequence[Process]
) -> None:
    process = processes[0]
    for _ in range(100):
        assert await process.keys.find("nobody") is None
    assert ring.reads == 1
    process.stopwatch.now += 1.0
    await process.keys.find("nobody")
    assert ring.reads == 2


async def test_a_new_key_counts_at_once_where_it_was_asked_for_before(
    ring: Ring, processes: Sequence[Process]
) -> None:
    made = replace(PLAIN, prefix="new")
    for process in processes:
        assert await process.keys.find("new") is None
    await processes[0].change(ring, made)
    for process in processes:
        assert await process.keys.find("new") == made


def test_a_hint_names_prefixes() -> None:
    message = naming_keys([(KEY.id, "films"), (KEY.id, "other")])
    assert prefixes_in(message) == ["films", "other"]
    for odd in (b"", b"films", b"\xff"):
        with pytest.raises(ValueError):
            prefixes_in(odd)


async def test_whoever_acts_for_a_key_hears_of_its_change() -> None:
    feed = MemoryFeed()
    hints = FeedUserHints(feed)
    with hints.expect(KEY.id, UUID(int=9)) as mine, hints.expect(UUID(int=9)) as other:
        await feed.publish(KEY_CHANNEL, b"\xff")
        await feed.publish(KEY_CHANNEL, naming_keys([(KEY.id, "films")]))
        assert await set_within(mine, PATIENCE_S)
        assert not other.is_set()
    assert not hints._events
