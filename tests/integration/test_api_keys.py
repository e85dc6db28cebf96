"""API keys in PostgreSQL: what lists show, when they were used, what upkeep removes, and what caches hear."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from parlor.adapters.sql import api_keys
from parlor.adapters.sql.api_keys import SqlApiKeyViews, SqlKeyRing, SqlKeyUses
from parlor.adapters.sql.engine import Database
from parlor.core.identity.api_keys import MANAGE, ApiKey, KnownKey, draw
from parlor.core.identity.model import User
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import system_clock
from parlor.core.shared.errors import DatabaseAway
from parlor.core.shared.paging import PageRequest
from tests.builders import a_user, an_actor, an_api_key
from tests.fakes.api_keys import known
from tests.fakes.clock import NOON
from tests.sql import Sql
from tests.waiting import eventually

KEEP = timedelta(days=1)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


async def stored(sql: Sql, *keys: ApiKey, users: tuple[User, ...] = ()) -> None:
    async with sql.work() as work:
        for user in users:
            await work.users.add(user)
        for key in keys:
            await work.api_keys.add(key)


async def test_a_key_is_checked_by_every_field(sql: Sql) -> None:
    ada = a_user()
    key = an_api_key(maker_id=ada.id, expires_at=NOON, revoked_at=NOON)
    plain = an_api_key(draw())
    await stored(sql, key, plain, users=(ada,))
    ring = SqlKeyRing(sql.database)
    for one in (key, plain):
        assert await ring.find(one.prefix) == known(one)
    assert await ring.find("nothing") is None
    assert all(getattr(known(key), field.name) for field in fields(KnownKey))


async def test_the_caches_hear_before_and_after_a_change(sql: Sql) -> None:
    key = an_api_key()
    await stored(sql, key)
    async with sql.work() as work:
        await work.api_keys.get(key.id)
        assert len(sql.changes.heard) == 2
        await work.api_keys.save(key)
    told = ((key.id, key.prefix),)
    assert sql.changes.heard == [("about to", told), ("changed", told)] * 2


# Lists


async def pages(sql: Sql, viewer: Actor, limit: int = 2) -> list[dict[str, Any]]:
    views, found, request = SqlApiKeyViews(sql.database), [], PageRequest(limit)
    while True:
        page = await views.page(viewer, request)
        found += json.loads(page.items)
        if page.next_key is None:
            return found
        request = PageRequest(limit, page.next_key)


async def test_everybody_sees_their_own_and_who_manages_keys_all(sql: Sql) -> None:
    ada, bob = a_user(), a_user()
    keys = [
        an_api_key(draw(), maker_id=maker, created_at=NOON + timedelta(seconds=number))
        for number, maker in enumerate([ada.id, bob.id, None, ada.id, ada.id])
    ]
    await stored(sql, *keys, users=(ada, bob))
    newest_first = [str(key.id) for key in reversed(keys)]
    mine = [one["id"] for one in await pages(sql, an_actor(user_id=ada.id))]
    assert mine == [newest_first[0], newest_first[1], newest_first[4]]
    assert [one["id"] for one in await pages(sql, an_actor(MANAGE))] == newest_first
    assert await pages(sql, an_actor()) == []
    assert await pages(sql, Actor(kind=an_actor().kind)) == []


async def test_a_list_shows_no_hash_and_nothing_that_was_revoked(sql: Sql) -> None:
    key = an_api_key(expires_at=NOON)
    await stored(sql, key, an_api_key(draw(), revoked_at=NOON))
    (listed,) = await pages(sql, an_actor(MANAGE))
    assert listed == {
        "id": str(key.id),
        "name": "a service",
        "prefix": key.prefix,
        "last_four": key.last_four,
        "scopes": ["tasks:create"],
        "maker_id": None,
        "created_at": "2026-03-01T12:00:00.000000Z",
        "expires_at": "2026-03-01T12:00:00.000000Z",
        "last_used_at": None,
    }


# Uses


def used(sql: Sql) -> Callable[[], Any]:
    return lambda: sql.value("select count(*) from api_keys where last_used_at is not null")


async def test_uses_are_written_together_some_time_after(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "WRITE_EVERY_S", 0.01)
    keys = [an_api_key(draw()) for _ in range(3)]
    await stored(sql, *keys)
    uses = SqlKeyUses(sql.database)
    for key in keys[:2]:
        for second in (1, 2):
            uses.note(key.id, NOON + timedelta(seconds=second))
    assert await used(sql)() == 0, "noting writes nothing"
    await eventually(lambda: _is(used(sql), 2))
    await eventually(lambda: uses._writing is None)
    row = await sql.value("select last_used_at from api_keys where id = $1", keys[0].id)
    assert row == NOON + timedelta(seconds=2)
    assert uses._noted == {}


async def _is(read: Callable[[], Any], expected: int) -> bool:
    return bool(await read() == expected)


async def test_what_is_noted_is_written_at_the_end(sql: Sql) -> None:
    key = an_api_key()
    await stored(sql, key)
    uses = SqlKeyUses(sql.database)
    uses.note(key.id, NOON)
    await uses.close()
    assert await used(sql)() == 1


async def test_an_older_use_does_not_come_after_a_newer_one(sql: Sql) -> None:
    key = an_api_key()
    await stored(sql, key)
    for moment in (NOON, NOON - timedelta(hours=1)):
        uses = SqlKeyUses(sql.database)
        uses.note(key.id, moment)
        await uses.close()
    assert await sql.value("select last_used_at from api_keys") == NOON


async def test_processes_that_write_at_once_do_not_stop_one_another(sql: Sql) -> None:
    keys = [an_api_key(draw()) for _ in range(20)]
    await stored(sql, *keys)
    writers = [SqlKeyUses(sql.database) for _ in range(4)]
    for number, writer in enumerate(writers):
        for key in keys if number % 2 else reversed(keys):
            writer.note(key.id, NOON)
    await asyncio.gather(*(writer.close() for writer in writers))
    assert await used(sql)() == 20


async def test_a_database_that_is_away_is_asked_again(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "WRITE_EVERY_S", 0.01)
    key = an_api_key()
    await stored(sql, key)
    uses = SqlKeyUses(sql.database)
    asked: list[int] = []

    def away() -> Any:
        asked.append(1)
        raise DatabaseAway

    with monkeypatch.context() as cut:
        cut.setattr(sql.database, "session", away)
        uses.note(key.id, NOON)
        await eventually(lambda: len(asked) > 1)
    await eventually(lambda: _is(used(sql), 1))


async def test_no_more_keys_are_noted_than_there_is_room_for(
    sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "MOST_NOTED", 2)
    uses = SqlKeyUses(sql.database)
    keys = [an_api_key(draw()) for _ in range(3)]
    for key in (*keys, keys[0]):
        uses.note(key.id, NOON)
    assert list(uses._noted) == [keys[0].id, keys[1].id]
    await uses.close()


# Upkeep


async def test_revoked_keys_are_removed_in_the_end_unless_they_might_be_made_again(sql: Sql) -> None:
    ada = a_user()
    long_ago = system_clock() - timedelta(days=91)
    lately = system_clock() - timedelta(days=89)
    gone = an_api_key(draw(), maker_id=ada.id, revoked_at=long_ago)
    stay = [
        an_api_key(draw(), maker_id=ada.id, revoked_at=lately),
        an_api_key(draw(), maker_id=ada.id, expires_at=long_ago),
        an_api_key(draw(), revoked_at=long_ago),
    ]
    await stored(sql, gone, *stay, users=(ada,))
    assert await sql.upkeep.forget_ended(KEEP) == 1
    assert await sql.upkeep.forget_ended(KEEP) == 0
    assert {row["id"] for row in await sql.rows("select id from api_keys")} == {key.id for key in stay}
