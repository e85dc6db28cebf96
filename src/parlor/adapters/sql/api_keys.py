"""API keys in PostgreSQL: for commands, for checks, for lists, and when each was last used."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import structlog
from asyncpg import Record
from sqlalchemy import bindparam, func, insert, select, update

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import api_keys
from parlor.adapters.sql.views import after_key, json_object, moment, page_of, paged, same
from parlor.core.identity.api_keys import MANAGE, ApiKey, KnownKey
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound, ParlorError
from parlor.core.shared.ids import ApiKeyId, UserId
from parlor.core.shared.paging import Page, PageRequest

log = structlog.get_logger()

WRITE_EVERY_S = 2.0
MOST_NOTED = 10_000
COLUMNS = tuple(column.name for column in api_keys.c if column.name != "last_used_at")

_ADD = Statement(insert(api_keys))
_LOCKED = select(*(api_keys.c[name] for name in COLUMNS)).with_for_update(key_share=True)
_GET = Statement(_LOCKED.where(api_keys.c.id == bindparam("id")))
_BY_PREFIX = Statement(_LOCKED.where(api_keys.c.prefix == bindparam("prefix")))
_COUNT = Statement(
    select(func.count()).where(api_keys.c.maker_id == bindparam("maker_id"), api_keys.c.revoked_at.is_(None))
)
_SAVE = Statement(
    update(api_keys)
    .where(api_keys.c.id == bindparam("key_id"))
    .values(scopes=bindparam("new_scopes"), revoked_at=bindparam("new_revoked_at"))
)
_KNOWN = """
select id, prefix, fingerprint, scopes, maker_id, expires_at, revoked_at is not null as revoked
  from api_keys where prefix = $1"""
# Another process that writes the same rows just now writes moments as good as ours.
_USED = """
update api_keys k set last_used_at = u.at
  from (select n.id, n.at from unnest($1::uuid[], $2::timestamptz[]) as n (id, at)
          join api_keys o on o.id = n.id and (o.last_used_at is null or o.last_used_at < n.at)
         order by n.id for no key update of o skip locked) u
 where k.id = u.id"""
# The bootstrap key, and others without a maker, stay known as revoked: they must not be made again.
FORGET = """
delete from api_keys where id in (
    select id from api_keys where revoked_at < clock_timestamp() - interval '90 days' and maker_id is not null
     order by revoked_at limit 1000 for update skip locked)"""


class ApiKeyScope(Protocol):
    """What the repository needs of the work that it belongs to."""

    async def session(self) -> PooledConnection: ...
    def touch_key(self, key_id: ApiKeyId, prefix: str) -> None: ...


class SqlApiKeys:
    """Port `ApiKeys`."""

    def __init__(self, work: ApiKeyScope) -> None:
        self._work = work

    async def add(self, key: ApiKey) -> None:
        """Insert; the unique index on the prefix is what decides between two."""
        values = {name: getattr(key, name) for name in COLUMNS} | {"scopes": sorted(key.scopes)}
        await _ADD.run(await self._work.session(), **values)
        self._work.touch_key(key.id, key.prefix)

    async def get(self, key_id: ApiKeyId) -> ApiKey:
        """Find and lock."""
        row = await _GET.row(await self._work.session(), id=key_id)
        if row is None:
            raise NotFound
        return _key(row)

    async def get_by_prefix(self, prefix: str) -> ApiKey | None:
        """Find and lock."""
        row = await _BY_PREFIX.row(await self._work.session(), prefix=prefix)
        return _key(row) if row else None

    async def count(self, maker_id: UserId) -> int:
        """Count what was not revoked."""
        row = await _COUNT.row(await self._work.session(), maker_id=maker_id)
        assert row is not None, "an aggregate answers one row"
        return int(row[0])

    async def save(self, key: ApiKey) -> None:
        """Store what may change."""
        session = await self._work.session()
        scopes = sorted(key.scopes)
        await _SAVE.run(session, key_id=key.id, new_scopes=scopes, new_revoked_at=key.revoked_at)
        self._work.touch_key(key.id, key.prefix)


class SqlKeyRing:
    """Port `KeyRing`, straight from the table: what caches stand in front of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, prefix: str) -> KnownKey | None:
        """Read one key by its unique prefix."""
        async with self._database.session() as session:
            row = await session.fetchrow(_KNOWN, prefix)
        return KnownKey(**{**row, "scopes": frozenset(row["scopes"])}) if row else None


KEY = json_object(
    same("id", "name", "prefix", "last_four", "scopes", "maker_id")
    | {name: moment(name) for name in ("created_at", "expires_at", "last_used_at")}
)


class SqlApiKeyViews:
    """Port `ApiKeyViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, viewer: Actor, page: PageRequest) -> Page[bytes]:
        """Read a page, newest first; what was revoked is not there."""
        sql, arguments = _page_of_keys(viewer, page)
        async with self._database.session() as session:
            return page_of(await session.fetchrow(sql, *arguments))


class SqlKeyUses:
    """Port `KeyUses`: what was noted, of 10,000 keys at most, is written every 2 s by one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[ApiKeyId, datetime] = {}
        self._writing: asyncio.Task[None] | None = None

    def note(self, key_id: ApiKeyId, at: datetime) -> None:
        """Remember it until the next writing, which is begun where none is under way."""
        if len(self._noted) < MOST_NOTED or key_id in self._noted:
            self._noted[key_id] = at
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_later())

    async def close(self) -> None:
        """Write what is noted, before the database is closed."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._write()

    async def _write_later(self) -> None:
        try:
            while self._noted:
                await asyncio.sleep(WRITE_EVERY_S)
                await self._write()
        finally:
            self._writing = None

    async def _write(self) -> None:
        noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            async with self._database.session() as session:
                await session.execute(_USED, *_columns(noted))
        except ParlorError as error:
            self._noted = noted | self._noted  # as bounded as before, but for what came meanwhile
            log.info("key_uses_wait", error=type(error).__name__)


def _columns(noted: Mapping[ApiKeyId, datetime]) -> tuple[list[ApiKeyId], list[datetime]]:
    return list(noted.keys()), list(noted.values())


def _page_of_keys(viewer: Actor, page: PageRequest) -> tuple[str, list[object]]:
    """Write the statement that one of the indexes answers."""
    everybodys = viewer.may(MANAGE)
    wheres = ["revoked_at is null"] if everybodys else ["revoked_at is null", "maker_id = $1"]
    arguments: list[object] = [] if everybodys else [viewer.user_id]
    if page.after is not None:
        arguments += after_key(page.after)
        wheres.append(f"(created_at, id) < (${len(arguments) - 1}, ${len(arguments)})")
    arguments.append(page.limit)
    rows = f"api_keys where {' and '.join(wheres)}"
    return paged(KEY, "created_at", rows, f"${len(arguments)}::int"), arguments


def _key(row: Record) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"])})
