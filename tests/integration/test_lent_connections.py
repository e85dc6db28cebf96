"""How connections go from hand to hand, beside the pool that owns them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from parlor.adapters.sql import engine
from parlor.adapters.sql.engine import Database
from tests.waiting import eventually, soon

BACKEND = "select pg_backend_pid()"


@pytest.fixture
async def single(database_url: str) -> AsyncIterator[Database]:
    """Open a pool of one connection."""
    database = Database(database_url, size=1, name="single")
    await database.open()
    yield database
    await database.close()


async def _backend(database: Database) -> int:
    async with database.session() as session:
        backend: int = await session.fetchval(BACKEND)
    return backend


async def test_the_next_one_gets_the_connection_that_was_just_used(database_url: str) -> None:
    database = Database(database_url, size=4, name="several")
    await database.open()
    assert len({await _backend(database) for _ in range(5)}) == 1
    await database.close()


async def test_whoever_waits_at_the_pool_gets_the_connection_that_comes_back(single: Database) -> None:
    async with single.session():
        waiting = [asyncio.create_task(_backend(single)) for _ in range(3)]
        await asyncio.sleep(0)
    assert len(set(await soon(asyncio.gather(*waiting)))) == 1


async def test_what_nobody_uses_goes_back_to_the_pool(
    single: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WARM_S", 0.01)
    await _backend(single)
    pool = single._pool
    assert pool is not None
    await eventually(lambda: pool.get_idle_size() == 1)


async def test_a_connection_that_broke_at_rest_is_replaced(single: Database, database: Database) -> None:
    first = await _backend(single)
    async with database.session() as session:
        await session.execute(f"select pg_terminate_backend({first}, 5000)")
    await eventually(lambda: not any(map(engine._usable, single._warm)))
    assert await _backend(single) != first


async def test_a_query_that_was_cancelled_leaves_nothing_to_the_next_one(single: Database) -> None:
    async def slow() -> None:
        async with single.session() as session:
            await session.execute("select pg_sleep(60)")

    task = asyncio.create_task(slow())
    await eventually(lambda: single._pool is not None and single._pool.get_size() == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await soon(_backend(single))


async def test_an_open_transaction_is_ended_before_the_next_one_comes(single: Database) -> None:
    async with single.session() as session:
        await session.execute("begin")
    async with single.session() as session:
        assert not session.is_in_transaction()


async def test_closing_waits_for_what_is_lent_and_keeps_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WARM_S", 3600)
    database = Database(database_url, size=2, name="closing")
    await database.open()
    await _backend(database)
    session = await database.acquire()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    database.pass_on(session)
    await soon(closing)
    assert database._warm == []
