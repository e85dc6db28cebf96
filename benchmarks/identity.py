"""Accounts beside few sessions and lines of history, and beside many."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count as counting
from typing import Any

import asyncpg

from benchmarks.plan import Plan
from benchmarks.producing import AT_ONCE
from benchmarks.sized import CHEAPEST, PATIENCE_S, RISING_ID, Growth, Sized, compare, rate
from benchmarks.stage import Stage
from benchmarks.table import Row
from parlor.adapters.security.passwords import BcryptHasher
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.identity import SqlDirectory
from parlor.core.identity.model import Client
from parlor.core.identity.use_cases import LogIn, Refresh
from parlor.core.shared.ids import UserId

EACH = 50  # sessions, and lines of history, of one user
LIVE = 20
PASSWORD = "Three-Blind-Mice-Ran"
CLIENT = Client(ip="127.0.0.1", user_agent="benchmark")
_USER = "('00000000-0000-7000-8000-' || lpad(to_hex({0}), 12, '0'))::uuid"
USERS = f"""
insert into users (id, email, email_key, search_key, email_verified, display_name, password_hash, status, epoch,
                   created_at, updated_at, version)
select {_USER.format("number")}, number || '@example.org', number || '@example.org',
       E'\\n' || number || E'@example.org\\nsomebody', false, 'Somebody', $2, 'active', 0,
       now() - interval '300 days', now() - interval '300 days', 1
  from generate_series(0, $1::int - 1) as number"""
_ROLES = "insert into user_roles (user_id, role) select id, 'user' from users"
# Of each user's, the last few are alive; every session has had one token, which is named by the session's number.
_SESSIONS = f"""
with made as (
    insert into sessions (id, user_id, created_at, last_used_at, expires_at, current, ended_at, ip, user_agent)
    select {RISING_ID}, {_USER.format("number % $2::int")}, moment, moment, moment + interval '180 days',
           sha256(('t' || number)::bytea), case when number < $1::int - {LIVE} * $2::int then moment end,
           '127.0.0.1', 'benchmark'
      from generate_series(0, $1::int - 1) as number,
           lateral (select now() - make_interval(secs => ($1::int - number) * 0.5) as moment) at
    returning id, current, created_at)
insert into refresh_tokens (fingerprint, session_id, created_at) select current, id, created_at from made"""
_LOGINS = f"""
insert into logins (id, user_id, at, outcome, method, ip, network, user_agent)
select {RISING_ID}, {_USER.format("number % $2::int")}, moment, 'success', 'password', '127.0.0.1', '127.0.0.1',
       'benchmark'
  from generate_series(0, $1::int - 1) as number,
       lateral (select now() - make_interval(secs => ($1::int - number) * 0.5) as moment) at"""


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Take turns between both sizes."""
    fresh = {size: counting(1) for size in plan.ended}
    measures: dict[str, Callable[[Sized], Awaitable[float]]] = {
        "log in": lambda sized: _log_in(sized, plan.refreshes // 5),
        "refresh": lambda sized: _refresh(sized, [next(fresh[sized.rows]) for _ in range(plan.refreshes)]),
        "read a user": lambda sized: _read(sized, plan.refreshes),
    }
    return await compare(stage, plan, Growth("sessions and logins", plan.ended, _fill), measures)


async def _fill(connection: "asyncpg.Connection[Any]", rows: int) -> None:
    hasher = BcryptHasher(cost=CHEAPEST)
    users = rows // EACH
    await connection.execute(USERS, users, await hasher.hash(PASSWORD), timeout=PATIENCE_S)
    await connection.execute(_ROLES, timeout=PATIENCE_S)
    for statement in (_SESSIONS, _LOGINS):
        await connection.execute(statement, rows, users, timeout=PATIENCE_S)
    hasher.close()


async def _log_in(sized: Sized, count: int) -> float:
    log_in = sized.container.command(LogIn)
    users = sized.rows // EACH

    async def one(number: int) -> None:
        await log_in(email=f"{number % users}@example.org", password=PASSWORD, client=CLIENT)

    return await _at_once(count, one)


async def _refresh(sized: Sized, tokens: list[int]) -> float:
    """Rotate the newest sessions' tokens, each once."""
    refresh = sized.container.command(Refresh)

    async def one(number: int) -> None:
        await refresh(refresh_token=f"t{sized.rows - tokens[number]}", client=CLIENT)

    return await _at_once(len(tokens), one)


async def _read(sized: Sized, count: int) -> float:
    """Read what a request is checked by, past the caches."""
    directory = SqlDirectory(sized.container.get(Database))
    ids = [UserId(row["id"]) for row in await sized.connection.fetch("select id from users limit 1000")]

    async def one(number: int) -> None:
        await directory.by_id(ids[number % len(ids)])

    return await _at_once(count, one)


async def _at_once(count: int, one: Callable[[int], Awaitable[None]]) -> float:
    async def some(numbers: range) -> None:
        for number in numbers:
            await one(number)

    return await rate(
        count, asyncio.gather(*(some(range(start, count, AT_ONCE)) for start in range(AT_ONCE)))
    )
