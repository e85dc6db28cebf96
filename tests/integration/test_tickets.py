"""Tickets in PostgreSQL: what upkeep removes, and what goes with a session."""

from datetime import timedelta

import pytest

from parlor.adapters.sql import tickets
from parlor.adapters.sql.engine import Database
from parlor.core.identity.tickets import Ticket
from parlor.core.shared.clock import system_clock
from tests.builders import a_session, a_user
from tests.sql import Sql

KEEP = timedelta(days=1)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


async def issued(sql: Sql, *lives: timedelta) -> None:
    """Store a ticket for each of these lives, in one session."""
    user = a_user()
    session = a_session(user)
    async with sql.work() as work:
        await work.users.add(user)
        await work.sessions.add(user, session)
        for number, life in enumerate(lives):
            ends = system_clock() + life
            await work.tickets.add(Ticket(f"{number}".encode(), user.id, session.id, 0, ends))


async def test_tickets_that_nobody_used_are_removed_some_time_after_their_end(sql: Sql) -> None:
    await issued(sql, timedelta(seconds=-90), timedelta(seconds=-5), timedelta(seconds=30))
    assert await sql.upkeep.forget_ended(KEEP) == 1
    assert await sql.upkeep.forget_ended(KEEP) == 0
    assert [row["fingerprint"] for row in await sql.rows("select * from tickets order by 1")] == [b"1", b"2"]


async def test_they_are_removed_in_batches(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "FORGET", tickets.FORGET.replace("limit 1000", "limit 2"))
    await issued(sql, *[timedelta(minutes=-2)] * 5)
    assert [await sql.upkeep.forget_ended(KEEP) for _ in range(4)] == [2, 2, 1, 0]


async def test_a_session_that_is_removed_takes_its_tickets_along(sql: Sql) -> None:
    await issued(sql, timedelta(seconds=30))
    await sql.execute("delete from sessions")
    assert await sql.value("select count(*) from tickets") == 0
