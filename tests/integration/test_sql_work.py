"""What the unit of work promises on PostgreSQL beyond its contract: caches, hints, limits, clean connections."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from parlor.adapters.sql import engine
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.errors import PoolExhausted
from parlor.core.identity.events import UserRegistered
from parlor.core.shared.errors import Contended, DatabaseAway, IdempotencyInProgress, LockTimeout
from tests.builders import a_key, a_session, a_task, a_user
from tests.sql import Sql


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
async def hasty(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sql]:
    """The same with one connection, and little patience for locks."""
    monkeypatch.setitem(engine.LIMITS, "lock_timeout", "50")
    database = Database(database_url, size=1, name="hasty")
    await database.open()
    yield Sql(database)
    await database.close()


# Caches and hints


async def test_caches_hear_of_a_user_before_and_after_the_commit(sql: Sql) -> None:
    user = a_user()
    async with sql.work() as work:
        await work.users.add(user)
        assert sql.changes.heard == []
    changed = ((user.id, user.email_key),)
    assert sql.changes.heard == [("about to", changed), ("changed", changed)]


@pytest.mark.parametrize("change", ["save", "open a session", "end sessions"])
async def test_every_change_that_readers_see_is_told_to_the_caches(sql: Sql, change: str) -> None:
    user = a_user()
    async with sql.work() as work:
        await work.users.add(user)
    sql.changes.heard.clear()
    async with sql.work() as work:
        if change == "save":
            await work.users.save(user)
        elif change == "open a session":
            await work.sessions.add(user, a_session(user))
        else:
            await work.sessions.end(user, user.created_at)
    assert [what for what, _ in sql.changes.heard] == ["about to", "changed"]


async def test_caches_hear_nothing_of_what_was_rolled_back(sql: Sql) -> None:
    async def fail() -> None:
        async with sql.work() as work:
            await work.users.add(a_user())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert sql.changes.heard == []


async def test_caches_are_let_go_when_the_commit_fails(sql: Sql) -> None:
    """Else what they marked would stay uncached."""

    async def fail() -> None:
        async with sql.work() as work:
            await work.users.add(a_user())
            pid = await (await work.session()).fetchval("select pg_backend_pid()")
            await sql.execute("select pg_terminate_backend($1, 5000)", pid)

    with pytest.raises(DatabaseAway):
        await fail()
    assert [what for what, _ in sql.changes.heard] == ["about to", "changed"]


async def test_relays_are_told_what_waits_after_the_commit(sql: Sql) -> None:
    async with sql.work() as work:
        await work.tasks.add(a_task())
        assert sql.hints.tasks == 0
    assert (sql.hints.tasks, sql.hints.facts) == (1, 0)
    user = a_user()
    async with sql.work() as work:
        work.publish(UserRegistered(user.id))
    assert (sql.hints.tasks, sql.hints.facts) == (1, 1)


async def test_an_unused_work_takes_no_connection(hasty: Sql) -> None:
    async with hasty.work(), hasty.work() as work:
        assert await work.users.find_by_email("nobody@example.org") is None


# Limits


async def test_a_twin_that_runs_too_long_is_told_of(sql: Sql, hasty: Sql) -> None:
    async def twin() -> None:
        async with hasty.work() as other:
            await other.once(a_key(), status=202, ids=[])

    async with sql.work() as work:
        await work.once(a_key(), status=202, ids=[])
        with pytest.raises(IdempotencyInProgress):
            await twin()
    assert await hasty.value("select count(*) from idempotency_keys") == 1


async def test_a_lock_is_waited_for_a_bounded_time(sql: Sql, hasty: Sql) -> None:
    user = a_user()
    async with sql.work() as work:
        await work.users.add(user)

    async def get() -> None:
        async with hasty.work() as other:
            await other.users.get(user.id)

    async with sql.work() as work:
        await work.users.get(user.id)
        with pytest.raises(LockTimeout):
            await get()
    await get()


async def test_a_connection_is_waited_for_a_bounded_time(hasty: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    async def find() -> None:
        async with hasty.work() as other:
            await other.users.find(a_user().id)

    async with hasty.work() as work:
        await work.users.find(a_user().id)
        monkeypatch.setattr(engine, "ACQUIRE_S", 0.05)
        with pytest.raises(PoolExhausted):
            await find()
    monkeypatch.undo()
    await find()


async def test_one_of_two_that_wait_for_each_other_runs_again(sql: Sql) -> None:
    """40P01 becomes Contended, which the wrapper answers by another run."""
    users = [a_user(), a_user()]
    async with sql.work() as work:
        for user in users:
            await work.users.add(user)
    met = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with sql.work() as work:
            await work.users.get(users[first].id)
            await met.wait()
            await work.users.get(users[second].id)

    answers = await asyncio.gather(lock(0, 1), lock(1, 0), return_exceptions=True)
    assert sorted(map(type, answers), key=repr) == sorted([Contended, type(None)], key=repr)


async def test_a_database_that_is_away_is_said_so(sql: Sql) -> None:
    async def die() -> None:
        async with sql.work() as work:
            pid = await (await work.session()).fetchval("select pg_backend_pid()")
            await sql.execute("select pg_terminate_backend($1, 5000)", pid)
            await work.users.find(a_user().id)

    with pytest.raises(DatabaseAway):
        await die()
    assert await sql.value("select 1") == 1


async def test_nobody_listening_is_a_database_that_is_away() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing", size=1, name="tests")
    await database.open()
    with pytest.raises(DatabaseAway):
        await database.ping()
    await database.close()


# Connections come back clean


async def fail_inside(sql: Sql) -> None:
    async with sql.work() as work:
        await work.users.add(a_user())
        raise ZeroDivisionError


async def fail_in_a_statement(sql: Sql) -> None:
    async with sql.work() as work:
        await (await work.session()).execute("select 1 / 0")


async def fail_at_the_end(sql: Sql) -> None:
    async with sql.work() as work:
        user = a_user(roles=frozenset({"nonsense"}))
        await work.users.add(user)


async def cancelled_inside(sql: Sql) -> None:
    async with sql.work() as work:
        await work.users.add(a_user())
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)


async def cancelled_in_a_statement(sql: Sql) -> None:
    async with asyncio.timeout(0.05), sql.work() as work:
        await (await work.session()).execute("select pg_sleep(60)")


@pytest.mark.parametrize(
    "fail", [fail_inside, fail_in_a_statement, fail_at_the_end, cancelled_inside, cancelled_in_a_statement]
)
async def test_a_connection_comes_back_clean(
    hasty: Sql, fail: Callable[[Sql], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    """However a transaction fails, the next one on the same connection finds nothing of it, in silence."""
    pid = await hasty.value("select pg_backend_pid()")
    with caplog.at_level(logging.WARNING):
        (failure,) = await asyncio.gather(fail(hasty), return_exceptions=True)
    assert isinstance(failure, BaseException)
    assert [record.getMessage() for record in caplog.records] == []
    assert await hasty.value("select pg_backend_pid()") == pid
    assert await hasty.value("select count(*) from users") == 0
    async with hasty.work() as work:
        await work.users.add(a_user())
    assert await hasty.value("select count(*) from users") == 1


async def test_a_cancelled_end_leaves_a_clean_connection(hasty: Sql) -> None:
    """Between the body and the commit, while the reactions run."""
    reacting = asyncio.Event()

    async def wait_for_ever(event: UserRegistered, work: object) -> None:
        reacting.set()
        await asyncio.Event().wait()

    hasty.reactions = {UserRegistered: [wait_for_ever]}
    user = a_user()

    async def register() -> None:
        async with hasty.work() as work:
            await work.users.add(user)
            work.publish(UserRegistered(user.id))

    registering = asyncio.create_task(register())
    await reacting.wait()
    registering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await registering
    hasty.reactions = {}
    await register()
    assert await hasty.value("select count(*) from users") == 1


async def test_an_error_that_somebody_swallowed_does_not_pass_for_a_commit(sql: Sql) -> None:
    """PostgreSQL answers a commit of a failed transaction with a rollback, and no error."""

    async def swallow() -> None:
        async with sql.work() as work:
            await work.users.add(a_user())
            with pytest.raises(asyncpg.DivisionByZeroError):
                await (await work.session()).execute("select 1 / 0")

    with pytest.raises(RuntimeError):
        await swallow()
    assert await sql.value("select count(*) from users") == 0
