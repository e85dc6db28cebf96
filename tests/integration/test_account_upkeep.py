"""What upkeep removes of accounts: mailed tokens unused, sessions that are over, their refresh tokens."""

from datetime import datetime, timedelta

import pytest

from parlor.adapters.sql import mail_tokens, upkeep
from parlor.adapters.sql.engine import Database
from parlor.core.identity.mail_tokens import MailToken, Purpose
from parlor.core.identity.model import Session
from parlor.core.shared.clock import system_clock
from tests.builders import DAY, a_session, a_user
from tests.sql import Sql

KEEP = 90 * DAY


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


async def opened(sql: Sql, *, tokens: int = 1, ended_at: datetime | None, expires_at: datetime) -> Session:
    user = a_user()
    session = a_session(user, ended_at=ended_at, expires_at=expires_at)
    async with sql.work() as work:
        await work.users.add(user)
        await work.sessions.add(user, session)
        for number in range(1, tokens):
            session.rotate(session.id.bytes + bytes([number]), system_clock())
            await work.sessions.save(session)
    return session


async def left(sql: Sql, table: str, column: str = "id") -> set[object]:
    return {row[column] for row in await sql.rows(f"select {column} from {table}")}


async def forgotten(sql: Sql) -> list[int]:
    """Call it until it finds nothing."""
    counts = [await sql.upkeep.forget_sessions(KEEP)]
    while counts[-1]:
        counts.append(await sql.upkeep.forget_sessions(KEEP))
    return counts


async def test_sessions_that_were_over_long_ago_go_with_their_tokens(sql: Sql) -> None:
    """The others stay with every token that they ever had: an old one tells of a theft when it is shown again."""
    now = system_clock()
    ahead, long_ago, lately = now + DAY, now - KEEP - DAY, now - KEEP + DAY
    await opened(sql, ended_at=long_ago, expires_at=ahead)
    await opened(sql, ended_at=None, expires_at=long_ago)
    stay = [
        await opened(sql, tokens=3, ended_at=None, expires_at=ahead),
        await opened(sql, ended_at=lately, expires_at=ahead),
        await opened(sql, ended_at=None, expires_at=lately),
    ]
    assert sum(await forgotten(sql)) == 4
    assert await left(sql, "sessions") == {session.id for session in stay}
    assert await sql.value("select count(*) from refresh_tokens") == 5


async def test_a_session_with_many_tokens_goes_in_batches(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FORGET_REFRESH_TOKENS", "_FORGET_SESSIONS"):
        monkeypatch.setattr(upkeep, name, getattr(upkeep, name).replace("limit 1000", "limit 2"))
    await opened(sql, tokens=5, ended_at=system_clock() - KEEP - DAY, expires_at=system_clock())
    assert await forgotten(sql) == [2, 2, 2, 0]
    assert await left(sql, "sessions") == set()


async def test_mailed_tokens_that_nobody_used_are_removed_some_time_after_their_end(
    sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_tokens, "FORGET", mail_tokens.FORGET.replace("limit 1000", "limit 2"))
    for number, life in enumerate((-90, -90, -90, -5, 30)):
        user = a_user()
        ends = system_clock() + timedelta(seconds=life)
        async with sql.work() as work:
            await work.users.add(user)
            await work.mail_tokens.replace(
                MailToken(user.id, Purpose.PASSWORD_RESET, bytes([number]), user.email_key, ends)
            )
    assert [await sql.upkeep.forget_ended(DAY) for _ in range(3)] == [2, 1, 0]
    assert await left(sql, "mail_tokens", "fingerprint") == {b"\3", b"\4"}
