"""The login history and sessions as readers see them, how long they are kept, and what a page costs."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parlor.adapters.sql import history
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.history import SqlLoginViews
from parlor.adapters.sql.sessions import SqlSessionViews
from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.model import MANAGE_USERS, Client, Session, User
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.actor import Actor, PermissionMissing
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import SessionId, UserId, uuid7
from parlor.core.shared.paging import Key, PageRequest
from tests.builders import a_line, a_session, a_user, an_actor
from tests.fakes.clock import NOON
from tests.fakes.container import a_snapshot
from tests.sql import Row, Sql

ADMIN = an_actor(MANAGE_USERS)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def shown(database: Database) -> SqlLoginViews:
    return SqlLoginViews(database)


async def added(sql: Sql) -> User:
    user = a_user()
    async with sql.work() as work:
        await work.users.add(user)
    return user


async def written(sql: Sql, *lines: LoginEntry) -> None:
    async with sql.work() as work:
        for line in lines:
            await work.history.add(line)


async def pages(
    shown: SqlLoginViews, viewer: Actor, user_id: UserId, limit: int = 2
) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    key: Key | None = None
    while key or not found:
        page = await shown.page(viewer, user_id, PageRequest(limit, key))
        found.append(json.loads(page.items))
        key = page.next_key
    return found


async def test_a_line_is_shown_as_the_contract_has_it(sql: Sql, shown: SqlLoginViews) -> None:
    user, session_id = await added(sql), SessionId(uuid7())
    client = Client(ip="2001:db8::7", user_agent='a "browser"')
    line = a_line(user, outcome=Outcome.LOGOUT, method=Method.SESSION, client=client, session_id=session_id)
    await written(sql, line, replace(a_line(user, client=Client()), at=NOON - timedelta(days=1)))
    ((one, other),) = await pages(shown, an_actor(user_id=user.id), user.id)
    assert one == {
        "at": "2026-03-01T12:00:00.000000Z",
        "outcome": "logout",
        "ip": "2001:db8::7",
        "user_agent": 'a "browser"',
        "method": "session",
        "session_id": str(session_id),
    }
    assert (other["ip"], other["user_agent"], other["session_id"]) == (None, None, None)


async def test_lines_come_in_pages_newest_first_also_of_one_moment(sql: Sql, shown: SqlLoginViews) -> None:
    user, other = await added(sql), await added(sql)
    await written(sql, a_line(other))
    for number in range(5):
        at = NOON + timedelta(seconds=number // 2)
        await written(sql, a_line(user, at=at, client=Client(ip=f"192.0.2.{number}")))
    found = await pages(shown, an_actor(user_id=user.id), user.id)
    assert [[line["ip"][-1] for line in page] for page in found] == [["4", "3"], ["2", "1"], ["0"]]


async def test_one_reads_ones_own_and_who_manages_users_anybodys(sql: Sql, shown: SqlLoginViews) -> None:
    user = await added(sql)
    await written(sql, a_line(user))
    assert await pages(shown, ADMIN, user.id) == await pages(shown, an_actor(user_id=user.id), user.id)
    with pytest.raises(PermissionMissing):
        await pages(shown, an_actor(), user.id)
    with pytest.raises(PermissionMissing):
        await pages(shown, an_actor(), UserId(uuid7()))


async def test_who_has_no_lines_is_not_who_does_not_exist(sql: Sql, shown: SqlLoginViews) -> None:
    assert await pages(shown, ADMIN, (await added(sql)).id) == [[]]
    with pytest.raises(NotFound):
        await pages(shown, ADMIN, UserId(uuid7()))


async def test_old_lines_are_forgotten_in_batches(sql: Sql, shown: SqlLoginViews) -> None:
    user = await added(sql)
    await written(sql, a_line(user))
    await sql.execute(
        """insert into logins (id, user_id, at, outcome, method, network)
           select (lpad(to_hex((extract(epoch from now() - age) * 1000)::bigint), 12, '0')
                   || '7' || lpad(n::text, 19, '0'))::uuid, $1, now() - age, 'success', 'password', ''
             from (values (interval '181 days', 1002), (interval '179 days', 3)) old (age, rows),
                  generate_series(1, rows) n""",
        user.id,
    )
    kept = timedelta(days=180)
    forgotten = [await sql.upkeep.forget_logins(kept) for _ in range(3)]
    assert forgotten == [1000, 2, 0]
    ((*left,),) = await pages(shown, ADMIN, user.id, limit=100)
    assert len(left) == 1 + 3


async def explained(sql: Sql, statement: str, *arguments: object) -> Row:
    """Run it as PostgreSQL does once it no longer looks at the arguments."""
    given = ", ".join(f"'{argument}'" for argument in arguments)
    async with sql.database.session() as session:
        await session.execute("begin")
        await session.execute("set local plan_cache_mode = force_generic_plan")
        await session.execute(f"prepare asked as {statement}")
        rows = await session.fetchval(f"explain (analyze, buffers, format json) execute asked ({given})")
        await session.execute("deallocate asked")
        await session.execute("rollback")
    plan: Row = json.loads(rows)[0]["Plan"]
    return plan


def blocks(plan: Row) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def nodes(plan: Row) -> list[Row]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]


async def test_any_page_of_a_long_history_costs_what_the_first_one_costs(sql: Sql) -> None:
    """Among many others' lines: it is read off one index, in blocks that are counted. So is that nothing is old."""
    user, other = await added(sql), await added(sql)
    await sql.execute(
        """insert into logins (id, user_id, at, outcome, method, network)
           select ('f' || substr(gen_random_uuid()::text, 2))::uuid, case n % 2 when 0 then $1::uuid else $2::uuid end,
                  $3::timestamptz + n * interval '1 s', 'wrong_password', 'password', ''
             from generate_series(1, 20000) n""",
        user.id,
        other.id,
        NOON,
    )
    await sql.execute("vacuum analyze logins")
    middle = NOON + timedelta(seconds=200)
    newest = await explained(sql, history._NEWEST, user.id, 50)
    oldest = await explained(sql, history._OLDER, user.id, 50, middle, uuid7())
    for plan in (newest, oldest):
        assert [node["Index Name"] for node in nodes(plan) if "Index Name" in node] == ["ix_logins_user_id"]
        assert blocks(plan) < 20
    nothing_to_forget = await explained(sql, history.FORGET, "180 days")
    assert blocks(nothing_to_forget) < 20


# One's own sessions


def as_principal(user: User, session: Session) -> Principal:
    return Principal(an_actor(user_id=user.id), replace(a_snapshot(), id=user.id), session.id)


async def listed(database: Database, viewer: Principal, limit: int = 50) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    key: Key | None = None
    while key or not found:
        page = await SqlSessionViews(database).page(viewer, PageRequest(limit, key))
        found += json.loads(page.items)
        key = page.next_key
    return found


async def opened(sql: Sql, user: User, *sessions: Session) -> Sequence[Session]:
    for session in sessions:
        async with sql.work() as work:
            await work.sessions.add(user, session)
    return sessions


async def test_my_live_sessions_are_listed_and_mine_is_marked(sql: Sql, database: Database) -> None:
    user, stranger = await added(sql), await added(sql)
    now = datetime.now(UTC).replace(microsecond=7)
    mine, other, ended, idle, old = await opened(
        sql,
        user,
        a_session(user, created_at=now),
        a_session(user, created_at=now - timedelta(hours=1), last_used_at=now, client=Client()),
        a_session(user, created_at=now, ended_at=now),
        a_session(user, created_at=now - timedelta(days=31)),
        a_session(user, created_at=now - timedelta(days=181), last_used_at=now, expires_at=now),
    )
    await opened(sql, stranger, a_session(stranger, created_at=now))
    assert len({mine.id, other.id, ended.id, idle.id, old.id}) == 5
    first, second = await listed(database, as_principal(user, mine))
    written_now = now.isoformat().replace("+00:00", "Z")
    assert first == {
        "id": str(mine.id),
        "created_at": written_now,
        "last_used_at": written_now,
        "ip": "192.0.2.1",
        "user_agent": "tests",
        "current": True,
    }
    assert (second["id"], second["current"], second["ip"]) == (str(other.id), False, None)


async def test_sessions_come_in_pages(sql: Sql, database: Database) -> None:
    user, now = await added(sql), datetime.now(UTC)
    made = [a_session(user, created_at=now - timedelta(minutes=number // 2)) for number in range(5)]
    await opened(sql, user, *made)
    found = await listed(database, as_principal(user, made[0]), limit=2)
    assert [one["id"] for one in found] == [
        str(one.id) for one in sorted(made, key=lambda one: (one.created_at, one.id), reverse=True)
    ]
