"""The login history in PostgreSQL: lines of what was done, of what failed, and how they are read."""

from datetime import datetime
from typing import Protocol

from sqlalchemy.dialects.postgresql import insert

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import logins
from parlor.adapters.sql.views import after_key, json_object, moment, page_of, paged, same
from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.model import MANAGE_USERS, Client
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.shared.paging import Page, PageRequest

_ADD = Statement(insert(logins).on_conflict_do_nothing())
_FAMILIAR = """
select exists(select from users u join logins l on l.user_id = u.id
               where u.email_key = $1 and l.network = $2 and l.outcome = 'success' and l.at > $3)"""
# One statement, whether the account exists or not, and no commit that waits for the disk where it does: the time that
# this takes tells nobody which.
_FAILED = """
with lazily as materialized (select set_config('synchronous_commit', 'off', true))
insert into logins (id, user_id, at, outcome, method, ip, network, user_agent)
select $2, u.id, $3, $4, $5, $6, $7, $8 from lazily, users u where u.email_key = $1
on conflict do nothing"""
# The order is the index's own, and so whoever else does the same meets the rows in it too.
_FORGET_CLIENTS = """
update logins set ip = null, network = '', user_agent = null where id = any(array(
    select id from logins
     where user_id = $1 and (ip is not null or network <> '' or user_agent is not null)
     order by at, id limit $2 for no key update))"""

LOGIN = json_object({"at": moment("at")} | same("outcome", "ip", "user_agent", "method", "session_id"))
# Two statements: one with "or this is the first page" in it would walk all the pages before.
_NEWEST = paged(LOGIN, "at", "logins where user_id = $1", "$2::int")
_OLDER = paged(LOGIN, "at", "logins where user_id = $1 and (at, id) < ($3, $4)", "$2::int")
_IS_USER = "select true from users where id = $1"
# By the id, whose first 48 bits are its making's milliseconds: an index that begins with `at` would be taken for a
# page's order too, and then the lines of somebody who has few are looked for among everybody's.
FORGET = """
delete from logins where id = any(array(
    select id from logins
     where id < (select (lpad(to_hex((extract(epoch from clock_timestamp() - $1::interval) * 1000)::bigint), 12, '0')
                         || repeat('0', 20))::uuid)  -- a query of its own: asked once, not once a row
     order by id limit 1000 for update skip locked))"""


class HistoryScope(Protocol):
    """What the repository needs of the work that it belongs to."""

    async def session(self) -> PooledConnection: ...


class SqlHistory:
    """Port `History`."""

    def __init__(self, work: HistoryScope) -> None:
        self._work = work

    async def add(self, entry: LoginEntry) -> None:
        """Insert."""
        client = entry.client
        await _ADD.run(
            await self._work.session(),
            id=uuid7(),
            user_id=entry.user_id,
            at=entry.at,
            outcome=entry.outcome,
            method=entry.method,
            ip=client.ip,
            network=client.network,
            user_agent=client.user_agent,
            session_id=entry.session_id,
        )

    async def forget_clients(self, user_id: UserId, *, limit: int) -> int:
        """Update a batch."""
        status = await (await self._work.session()).execute(_FORGET_CLIENTS, user_id, limit)
        return int(status.rpartition(" ")[2])


class SqlAttempts:
    """Port `Attempts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def familiar(self, account: str, client: Client, since: datetime) -> bool:
        """Look for a login."""
        async with self._database.session() as session:
            found: bool = await session.fetchval(_FAMILIAR, account, client.network, since)
        return found

    async def failed(
        self, account: str, outcome: Outcome, client: Client, at: datetime, method: Method = Method.PASSWORD
    ) -> None:
        """Insert, for whoever it is."""
        told = (client.ip, client.network, client.user_agent)
        async with self._database.session() as session:
            await session.execute(_FAILED, account, uuid7(), at, outcome, method, *told)


class SqlLoginViews:
    """Port `LoginViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, viewer: Actor, user_id: UserId, page: PageRequest) -> Page[bytes]:
        """Read a page, newest first."""
        if viewer.user_id != user_id:
            viewer.must(MANAGE_USERS)
        async with self._database.session() as session:
            if viewer.user_id != user_id and not await session.fetchval(_IS_USER, user_id):
                raise NotFound
            return page_of(await session.fetchrow(*_page(user_id, page)))


def _page(user_id: UserId, page: PageRequest) -> tuple[str, *tuple[object, ...]]:
    if page.after is None:
        return _NEWEST, user_id, page.limit
    return _OLDER, user_id, page.limit, *after_key(page.after)
