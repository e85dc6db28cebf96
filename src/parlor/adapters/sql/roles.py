"""Roles in PostgreSQL, what each permits, and the JSON that readers get."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from asyncpg import Record
from sqlalchemy import bindparam, delete, func, insert, select, update

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import roles
from parlor.adapters.sql.views import json_object
from parlor.core.identity.roles import (
    MANAGE_ROLES,
    MAX_HOLDERS,
    MAX_ROLES,
    LastAdmin,
    Role,
    RoleInUse,
    TooManyRoles,
)
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import UserId
from parlor.core.shared.paging import Page, PageRequest

# Whoever asks for one of these waits until the transaction ends that asked before: then what is read is true.
_ONE_ADDS = "select pg_advisory_xact_lock(hashtextextended('roles', 0))"
_ONE_TAKES = "select pg_advisory_xact_lock(hashtextextended('admins', 0))"
_COUNT = Statement(select(func.count()).select_from(roles))
_ADD = Statement(insert(roles))
_FIND = Statement(select(roles).where(roles.c.name == bindparam("name")))
_GET = Statement(select(roles).where(roles.c.name == bindparam("name")).with_for_update(key_share=True))
_SAVE = Statement(
    update(roles)
    .where(roles.c.name == bindparam("role"))
    .values(description=bindparam("new_description"), permissions=bindparam("new_permissions"))
)
_REMOVE = Statement(delete(roles).where(roles.c.name == bindparam("name")))
_LOCK_HOLDERS = f"""
select u.id from user_roles g join users u on u.id = g.user_id
 where g.role = $1 order by u.id limit {MAX_HOLDERS + 1} for no key update of u"""
_TAKE = "delete from user_roles where role = $1 returning user_id"
_CHANGE_HOLDERS = """
update users set version = version + 1, updated_at = $2, epoch = epoch + $3::int
 where id = any($1::uuid[]) returning id, email_key"""
# Who may manage roles, as far as what goes ($1, $2) is part of it, and as far as it is not.
_ADMINS = f"""
with admins as not materialized (
    select ($1::uuid is null or g.user_id = $1) and ($2::text is null or g.role = $2) as goes
      from roles r join user_roles g on g.role = r.name join users u on u.id = g.user_id
     where '{MANAGE_ROLES}' = any(r.permissions) and u.status = 'active')
select exists (select from admins where goes) and not exists (select from admins where not goes)"""


class RoleScope(Protocol):
    """What the repository needs of the work that it belongs to."""

    async def session(self) -> PooledConnection: ...
    def touch(self, user_id: UserId, email_key: str) -> None: ...
    def touch_roles(self) -> None: ...


class SqlRoles:
    """Port `Roles`."""

    def __init__(self, work: RoleScope) -> None:
        self._work = work

    async def add(self, role: Role) -> None:
        """Insert, with other additions held back so that the count is true."""
        session = await self._work.session()
        await session.execute(_ONE_ADDS)
        counted = await _COUNT.row(session)
        if counted is None or counted[0] >= MAX_ROLES:
            raise TooManyRoles
        await _ADD.run(session, **_columns(role))
        self._work.touch_roles()

    async def get(self, name: str) -> Role:
        """Find and lock."""
        row = await _GET.row(await self._work.session(), name=name)
        if row is None:
            raise NotFound
        return _role(row)

    async def find(self, name: str) -> Role | None:
        """Find without a lock."""
        row = await _FIND.row(await self._work.session(), name=name)
        return _role(row) if row else None

    async def save(self, role: Role) -> None:
        """Store; its row is locked since `get`."""
        new = {f"new_{name}": value for name, value in _columns(role).items() if name != "name"}
        await _SAVE.run(await self._work.session(), role=role.name, **new)
        self._work.touch_roles()

    async def lock_holders(self, role: Role) -> None:
        """Lock them by id; no other can come while the role's own row is locked."""
        if len(await (await self._work.session()).fetch(_LOCK_HOLDERS, role.name)) > MAX_HOLDERS:
            raise RoleInUse

    async def remove(self, role: Role, at: datetime, *, end_tokens: bool) -> Sequence[UserId]:
        """Delete what refers to it first: who lost it meanwhile is not among those. All change in one statement."""
        session = await self._work.session()
        holders = sorted(row["user_id"] for row in await session.fetch(_TAKE, role.name))
        for row in await session.fetch(_CHANGE_HOLDERS, holders, at, int(end_tokens)):
            self._work.touch(UserId(row["id"]), row["email_key"])
        await _REMOVE.run(session, name=role.name)
        self._work.touch_roles()
        return holders

    async def must_keep_an_admin(
        self, *, without_user: UserId | None = None, without_role: str | None = None
    ) -> None:
        """Wait for whoever asked before to commit, then look: in a statement of its own, which sees what they did."""
        session = await self._work.session()
        await session.execute(_ONE_TAKES)
        if await session.fetchval(_ADMINS, without_user, without_role):
            raise LastAdmin


class SqlRoleBook:
    """Port `RoleBook`, straight from the table: 1,000 rows at most."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Mapping[str, frozenset[str]]:
        """Read all of them in one statement."""
        async with self._database.session() as session:
            rows = await session.fetch("select name, permissions from roles")
        return {row["name"]: frozenset(row["permissions"]) for row in rows}


_PERMISSIONS = 'array(select p from unnest(permissions) p order by p collate "C")'
_ROLE = json_object({"name": "name", "description": "description", "permissions": _PERMISSIONS})
_ONE = f"select {_ROLE}::text from roles where name = $1"
_PAGE = f"""
with page as (
    select {_ROLE}::text as item, name, row_number() over (order by name) as n from (
        select * from roles where $1::text is null or name > $1 order by name limit $2::int + 1) following)
select '[' || coalesce(string_agg(item, ',' order by n) filter (where n <= $2), '') || ']' as items,
       max(name) filter (where n = $2) as last, max(n) > $2 as more
  from page"""


class SqlRoleViews:
    """Port `RoleViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def one(self, name: str) -> bytes:
        """Read one row as JSON."""
        async with self._database.session() as session:
            view = await session.fetchval(_ONE, name)
        if view is None:
            raise NotFound
        return str(view).encode()

    async def page(self, page: PageRequest) -> Page[bytes]:
        """Read a page, by name."""
        after = page.after[0] if page.after else None
        async with self._database.session() as session:
            row = await session.fetchrow(_PAGE, after, page.limit)
        assert row is not None, "an aggregate answers one row"
        return Page(row["items"].encode(), (row["last"],) if row["more"] else None)


def _columns(role: Role) -> dict[str, object]:
    return {"name": role.name, "description": role.description, "permissions": sorted(role.permissions)}


def _role(row: Record) -> Role:
    return Role(row["name"], row["description"], frozenset(row["permissions"]))
