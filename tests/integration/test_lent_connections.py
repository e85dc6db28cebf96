"""How connections go from hand to hand, beside the pool that owns them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from parlor.adapters.sql import lending
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


async def test_turns_are_taken_first_come_first_served(single: Database) -> None:
    order: list[int] = []

    async def wait(number: int) -> None:
        async with single.session():
            order.append(number)

    async with single.session():
        waiting = [asyncio.create_task(wait(number)) for number in range(4)]
        await asyncio.sleep(0)
        assert single.lender.waiting == 4
    await soon(asyncio.gather(*waiting))
    assert order == [0, 1, 2, 3]


@pytest.mark.parametrize("came", [False, True], ids=["before its turn", "in its turn"])
async def test_who_gives_up_waiting_takes_nothing_along(single: Database, came: bool) -> None:
    connection = await single.lender.acquire()
    waiting = asyncio.create_task(single.lender.acquire())
    await asyncio.sleep(0)
    if came:
        single.lender.pass_on(connection)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not came:
        single.lender.pass_on(connection)
    assert await soon(_backend(single))
    assert single.lender.in_use == 0


async def test_who_waits_gets_the_place_of_a_connection_that_broke(single: Database) -> None:
    async with single.session() as session:
        waiting = asyncio.create_task(_backend(single))
        await asyncio.sleep(0)
        session.terminate()
    assert await soon(waiting)


async def test_what_nobody_uses_goes_back_to_the_pool(
    single: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lending, "WARM_S", 0.01)
    await _backend(single)
    await eventually(lambda: single.lender._pool.get_idle_size() == 1)


async def test_a_connection_that_broke_at_rest_is_replaced(single: Database, database: Database) -> None:
    first = await _backend(single)
    async with database.session() as session:
        await session.execute(f"select pg_terminate_backend({first}, 5000)")
    await eventually(lambda: not any(map(lending._usable, single.lender._warm)))
    assert await _backend(single) != first


async def test_a_query_that_was_cancelled_leaves_nothing_to_the_next_one(single: Database) -> None:
    async def slow() -> None:
        async with single.session() as session:
            await session.execute("select pg_sleep(60)")

    task = asyncio.create_task(slow())
    await eventually(lambda: single.lender._pool.get_size() == 1)
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
    monkeypatch.setattr(lending, "WARM_S", 3600)
    database = Database(database_url, size=2, name="closing")
    await database.open()
    await _backend(database)
    lender = database.lender
    connection = await lender.acquire()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    lender.pass_on(connection)
    await soon(closing)
    assert lender.in_use == 0
