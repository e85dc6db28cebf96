"""What the pool does without behind PgBouncer, where the next statement may be another session's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from parlor.adapters.sql.engine import LIMITS, Database
from parlor.adapters.sql.pgbouncer import LimitsMissing, connect_query
from parlor.config import BadSettings
from parlor.entrypoints.setup import migrate
from tests.fakes.container import settings_for_tests
from tests.servers.pgbouncer import PgBouncer


@pytest.fixture(scope="module")
def pgbouncer(postgres_url: str) -> Iterator[PgBouncer]:
    with PgBouncer(postgres_url) as pgbouncer:
        yield pgbouncer


@asynccontextmanager
async def a_pool(url: str) -> AsyncIterator[Database]:
    database = Database(url, size=40, name="tests", pgbouncer=True)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def test_a_statement_is_never_somebody_else_s(pgbouncer: PgBouncer, database_url: str) -> None:
    """Forty connections run statements of different shapes over eight sessions."""
    async with a_pool(pgbouncer.leading_to(database_url)) as database:

        async def ask(number: int) -> None:
            async with database.session() as session:
                for turn in range(10):
                    names = ", ".join(f"$1::int + {n}" for n in range(number + 1))
                    row = await session.fetchrow(f"select {names}", turn)
                    assert row is not None
                    assert list(row) == [turn + n for n in range(number + 1)]

        await asyncio.gather(*map(ask, range(40)))


async def test_it_gives_its_sessions_our_limits(pgbouncer: PgBouncer, database_url: str) -> None:
    async with a_pool(pgbouncer.leading_to(database_url)) as database:
        await database.check_limits()


async def test_that_it_gives_none_is_told_with_the_line_that_it_lacks(database_url: str) -> None:
    """The server itself stands for a PgBouncer that was told nothing."""
    async with a_pool(database_url) as database:
        with pytest.raises(LimitsMissing) as missing:
            await database.check_limits()
    assert connect_query(LIMITS) in str(missing.value)


async def test_times_are_utc_behind_it_too(pgbouncer: PgBouncer, database_url: str) -> None:
    async with (
        a_pool(pgbouncer.leading_to(database_url)) as database,
        database.session() as session,
    ):
        assert await session.fetchval("show timezone") == "UTC"


async def test_migrations_want_postgresql_itself(pgbouncer: PgBouncer, empty_database_url: str) -> None:
    """Their lock is a session's, and PgBouncer lends those by the transaction."""
    behind = {"DATABASE_URL": pgbouncer.leading_to(empty_database_url), "PARLOR_PGBOUNCER": True}
    with pytest.raises(BadSettings, match="PARLOR_MIGRATE_URL"):
        await migrate(settings_for_tests(**behind))
    await migrate(settings_for_tests(**behind, PARLOR_MIGRATE_URL=empty_database_url))
