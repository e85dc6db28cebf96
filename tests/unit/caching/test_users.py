"""Cached users: what is kept and for how long, and who is told of changes."""

from dataclasses import fields, replace
from typing import Any

import orjson
import pytest

from parlor.adapters.caching.api_keys import CopiedKeyRing
from parlor.adapters.caching.principals import CachedPrincipals
from parlor.adapters.caching.role_book import CachedRoleBook
from parlor.adapters.caching.users import CachedUserChanges, CachedUsers, from_json, to_json
from parlor.adapters.memory.cache import MemoryCache
from parlor.adapters.memory.feed import MemoryFeed
from parlor.core.identity.ports import Snapshot
from parlor.core.shared.caching import Cached
from tests.fakes.api_keys import ApiKeyStore, FakeKeyRing
from tests.unit.caching.directory import ADA, BOOK, EMAIL, Pages, Stopwatch, Table


class AwayCache(MemoryCache):
    """A cache that is away, and is left alone then."""

    async def look(self, key: str) -> Cached:  # noqa: ARG002 - the port's
        return Cached(None, None)

    async def store(self, key: str, value: bytes, *, generation: int, ttl_s: float) -> None:
        raise AssertionError(f"stored {key}: {value!r} under {generation} for {ttl_s}")


@pytest.mark.parametrize("field", [field.name for field in fields(Snapshot)])
def test_every_field_survives_the_cache(field: str) -> None:
    read = from_json(to_json(ADA), BOOK)
    assert read is not None
    assert getattr(read, field) == getattr(ADA, field)
    assert type(getattr(read, field)) is type(getattr(ADA, field))


def test_empty_and_odd_values_survive_too() -> None:
    bare = replace(ADA, roles=(), permissions=frozenset(), sessions=frozenset(), display_name="", epoch=0)
    assert from_json(to_json(bare), BOOK) == bare


def stored(**changes: Any) -> bytes:
    return orjson.dumps(orjson.loads(to_json(ADA)) | changes)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff",
        orjson.dumps({"id": str(ADA.id)}),
        stored(status="banned"),
        stored(id="1"),
        stored(sessions=["1"]),
        stored(sessions=None),
        stored(created_at="yesterday"),
    ],
)
def test_what_another_release_wrote_is_a_miss(value: bytes) -> None:
    assert from_json(value, BOOK) is None


def test_a_field_that_a_later_release_added_does_no_harm() -> None:
    assert from_json(stored(shoe_size=41), BOOK) == ADA


async def test_a_user_is_read_once() -> None:
    table = Table(ADA)
    users = CachedUsers(table, MemoryCache(), Pages())
    assert await users.by_id(ADA.id) == ADA
    assert await users.by_id(ADA.id) == ADA
    assert table.reads == 1


async def test_a_user_is_found_by_email_once() -> None:
    table = Table(ADA)
    users = CachedUsers(table, MemoryCache(), Pages())
    assert await users.by_email(EMAIL) == ADA
    assert await users.by_email(EMAIL) == ADA
    assert table.reads == 1


async def test_a_user_is_read_again_after_a_minute() -> None:
    table, stopwatch = Table(ADA), Stopwatch()
    users = CachedUsers(table, MemoryCache(monotonic=stopwatch), Pages())
    await users.by_id(ADA.id)
    stopwatch.now = 59.9
    await users.by_id(ADA.id)
    assert table.reads == 1
    stopwatch.now = 60.0
    await users.by_id(ADA.id)
    assert table.reads == 2


async def test_that_somebody_is_absent_is_not_kept() -> None:
    """Who registers is found by the next reader, without a word to any cache."""
    table, cache = Table(), MemoryCache()
    users = CachedUsers(table, cache, Pages())
    assert await users.by_id(ADA.id) is None
    assert await users.by_email(EMAIL) is None
    assert not cache._values
    table.put(ADA)
    assert await users.by_id(ADA.id) == ADA
    assert await users.by_email(EMAIL) == ADA


async def test_an_unreadable_value_is_read_from_the_directory() -> None:
    table, cache = Table(ADA), MemoryCache()
    key = f"user:id:{ADA.id}"
    generation = (await cache.look(key)).generation
    assert generation is not None
    await cache.store(key, b"[]", generation=generation, ttl_s=60)
    assert await CachedUsers(table, cache, Pages()).by_id(ADA.id) == ADA


async def test_with_the_cache_away_the_directory_answers() -> None:
    table = Table(ADA)
    users = CachedUsers(table, AwayCache(), Pages())
    assert await users.by_id(ADA.id) == ADA
    assert await users.by_id(ADA.id) == ADA
    assert table.reads == 2


class Setting:
    """One process: users and principals, cached, and the writers' word."""

    def __init__(self, *known: Snapshot) -> None:
        self.table = Table(*known)
        cache, feed = MemoryCache(), MemoryFeed()
        self.pages = Pages()
        book = CachedRoleBook(self.pages)
        self.users = CachedUsers(self.table, cache, book)
        self.principals = CachedPrincipals(self.users, feed, book)
        self.changes = CachedUserChanges(
            cache, self.principals, CopiedKeyRing(FakeKeyRing(ApiKeyStore), feed)
        )

    async def seen(self) -> list[Snapshot | None]:
        by_principal = await self.principals.find(ADA.id)
        return [await self.users.by_id(ADA.id), await self.users.by_email(EMAIL), by_principal]


async def test_after_a_change_every_reader_sees_it() -> None:
    setting = Setting(ADA)
    assert await setting.seen() == [ADA] * 3
    mark = await setting.changes.about_to_change([(ADA.id, EMAIL)])
    changed = replace(ADA, display_name="Countess", version=4)
    setting.table.put(changed)
    await setting.changes.changed([(ADA.id, EMAIL)], mark)
    assert await setting.seen() == [changed] * 3
    reads = setting.table.reads
    assert await setting.seen() == [changed] * 3
    assert setting.table.reads == reads


async def test_while_a_change_goes_on_nothing_is_kept() -> None:
    """Before the commit readers see the old user, and do not leave it behind."""
    setting = Setting(ADA)
    mark = await setting.changes.about_to_change([(ADA.id, EMAIL)])
    assert (await setting.seen())[:2] == [ADA] * 2
    changed = replace(ADA, display_name="Countess")
    setting.table.put(changed)
    assert (await setting.seen())[:2] == [changed] * 2
    await setting.changes.changed([(ADA.id, EMAIL)], mark)
    assert await setting.seen() == [changed] * 3


async def test_a_new_address_is_a_change_of_both_addresses() -> None:
    setting = Setting(ADA)
    await setting.seen()
    users = [(ADA.id, EMAIL), (ADA.id, "countess@example.org")]
    mark = await setting.changes.about_to_change(users)
    setting.table.put(replace(ADA, email="countess@example.org"))
    await setting.changes.changed(users, mark)
    assert await setting.users.by_email(EMAIL) is None
    assert await setting.users.by_email("countess@example.org") is not None


async def test_after_a_change_of_a_role_everybody_who_holds_it_has_other_permissions() -> None:
    """No user is read again, but out of the cache."""
    setting = Setting(ADA)
    assert await setting.seen() == [ADA] * 3
    setting.pages.book["user"] = frozenset({"films:watch"})
    await setting.changes.roles_changed()
    reads = setting.table.reads
    changed = replace(ADA, permissions=frozenset({"users:manage", "films:watch"}))
    assert await setting.seen() == [changed] * 3
    assert setting.table.reads == reads


def test_what_is_kept_of_a_user_does_not_say_what_the_roles_permit() -> None:
    assert b"tasks:create" not in to_json(ADA)


def test_a_role_that_the_book_does_not_know_permits_nothing() -> None:
    read = from_json(to_json(ADA), {"user": frozenset({"tasks:create"})})
    assert read == replace(ADA, permissions=frozenset({"tasks:create"}))
