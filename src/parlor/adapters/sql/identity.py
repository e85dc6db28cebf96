"""Users, their sessions and roles in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from asyncpg import Record
from sqlalchemy import bindparam, func, insert, select, update

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import refresh_tokens, sessions, user_roles, users
from parlor.core.identity.model import MAX_SESSIONS, Client, Session, User, UserStatus
from parlor.core.identity.ports import Snapshot
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import SessionId, UserId

USER_COLUMNS = tuple(column.name for column in users.c)
SESSION_COLUMNS = tuple(column.name for column in sessions.c)

_ROLES = select(func.array_agg(user_roles.c.role)).where(user_roles.c.user_id == users.c.id).scalar_subquery()
_USER = select(*users.c, _ROLES.label("roles"))
_FIND = Statement(_USER.where(users.c.id == bindparam("id")))
# Who waited for the lock gets the newest row, but whatever is read beside it as it was before the wait.
_before = users.alias("before")
_SEEN = select(_before.c.version).where(_before.c.id == users.c.id).scalar_subquery()
_GET = Statement(
    _USER.add_columns(_SEEN.label("seen"))
    .where(users.c.id == bindparam("id"))
    .with_for_update(key_share=True, of=users)
)
_BY_EMAIL = Statement(_USER.where(users.c.email_key == bindparam("key")))
_ADD = Statement(insert(users))
_GRANT = "insert into user_roles (user_id, role) select $1, unnest($2::text[]) on conflict do nothing"
_TAKE_ROLES = "delete from user_roles where user_id = $1 and role <> all($2::text[])"
_SAVE = Statement(
    update(users)
    .where(users.c.id == bindparam("user_id"), users.c.version == bindparam("seen"))
    .values({column.name: bindparam(f"new_{column.name}") for column in users.c if column.name != "id"})
)
_ADD_SESSION = Statement(insert(sessions))
_SAVE_SESSION = Statement(
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in ("current", "parent", "rotated_at", "last_used_at", "ended_at")
        }
    )
)
_BY_TOKEN = Statement(
    select(sessions)
    .join(refresh_tokens, refresh_tokens.c.session_id == sessions.c.id)
    .where(refresh_tokens.c.fingerprint == bindparam("fingerprint"))
    .with_for_update(key_share=True, of=sessions)
)
_END = """
update sessions set ended_at = $2
 where user_id = $1 and ended_at is null and ($3::uuid is null or id = $3) and ($4::uuid is null or id <> $4)"""
_END_OLDEST = f"""
update sessions set ended_at = $2 where id in (
    select id from sessions where user_id = $1 and ended_at is null
     order by created_at desc, id desc offset {MAX_SESSIONS})"""

_FORGET_CLIENTS = """
update sessions set ip = null, user_agent = null where id = any(array(
    select id from sessions
     where user_id = $1 and (ip is not null or user_agent is not null)
     order by id limit $2 for no key update))"""


class IdentityScope(Protocol):
    """What the repositories need of the work that they belong to."""

    async def session(self) -> PooledConnection: ...
    def touch(self, user_id: UserId, email_key: str) -> None: ...


class SqlUsers:
    """Port `Users`."""

    def __init__(self, work: IdentityScope) -> None:
        self._work = work
        self._keys: dict[
            UserId, str
        ] = {}  # the addresses that were locked: caches know the users under those

    async def add(self, user: User) -> None:
        """Insert; the unique index on the e-mail key is what decides between two."""
        session = await self._work.session()
        await _ADD.run(session, **_columns(user))
        await session.execute(_GRANT, user.id, sorted(user.roles))
        self._work.touch(user.id, user.email_key)

    async def get(self, user_id: UserId) -> User:
        """Find and lock; where that took waiting, look again, for the roles are not the row's own."""
        session = await self._work.session()
        row = await _GET.row(session, id=user_id)
        if row is not None and row["seen"] != row["version"]:
            row = await _GET.row(session, id=user_id)
        if row is None:
            raise NotFound
        self._keys[user_id] = row["email_key"]
        return _user(row)

    async def find(self, user_id: UserId) -> User | None:
        """Find without a lock."""
        row = await _FIND.row(await self._work.session(), id=user_id)
        return _user(row) if row else None

    async def find_by_email(self, key: str) -> User | None:
        """Find without a lock."""
        row = await _BY_EMAIL.row(await self._work.session(), key=key)
        return _user(row) if row else None

    async def save(self, user: User) -> None:
        """Store under the version that was read, and raise it."""
        session = await self._work.session()
        new = {f"new_{name}": value for name, value in _columns(user).items() if name != "id"}
        new["new_version"] = user.version + 1
        if await _SAVE.run(session, user_id=user.id, seen=user.version, **new) == 0:
            raise Contended("users.version")
        await session.execute(_TAKE_ROLES, user.id, sorted(user.roles))
        await session.execute(_GRANT, user.id, sorted(user.roles))
        user.version += 1
        self._work.touch(user.id, self._keys.get(user.id, user.email_key))
        self._work.touch(user.id, user.email_key)


class SqlSessions:
    """Port `Sessions`."""

    def __init__(self, work: IdentityScope) -> None:
        self._work = work

    async def add(self, user: User, session: Session) -> None:
        """Insert with its first token; beyond 50 live ones the oldest end."""
        connection = await self._work.session()
        row = {name: getattr(session, name) for name in SESSION_COLUMNS if name not in ("ip", "user_agent")}
        await _ADD_SESSION.run(connection, **row, ip=session.client.ip, user_agent=session.client.user_agent)
        await _add_token(connection, session)
        await connection.execute(_END_OLDEST, user.id, session.created_at)
        self._work.touch(user.id, user.email_key)

    async def get_by_token(self, presented: bytes) -> Session | None:
        """Find by any token that the session ever had, and lock it."""
        row = await _BY_TOKEN.row(await self._work.session(), fingerprint=presented)
        return _session(row) if row else None

    async def save(self, session: Session) -> None:
        """Store the rotation; its new current token joins the family."""
        connection = await self._work.session()
        await _SAVE_SESSION.run(
            connection,
            session_id=session.id,
            new_current=session.current,
            new_parent=session.parent,
            new_rotated_at=session.rotated_at,
            new_last_used_at=session.last_used_at,
            new_ended_at=session.ended_at,
        )
        await _add_token(connection, session)

    async def end(
        self, user: User, at: datetime, *, only: SessionId | None = None, but: SessionId | None = None
    ) -> int:
        """End live sessions."""
        status = await (await self._work.session()).execute(_END, user.id, at, only, but)
        self._work.touch(user.id, user.email_key)
        return int(status.rpartition(" ")[2])

    async def forget_clients(self, user_id: UserId, *, limit: int) -> int:
        """Update a batch."""
        status = await (await self._work.session()).execute(_FORGET_CLIENTS, user_id, limit)
        return int(status.rpartition(" ")[2])


async def _add_token(connection: PooledConnection, session: Session) -> None:
    await connection.execute(
        "insert into refresh_tokens (fingerprint, session_id, created_at) values ($1, $2, $3) on conflict do nothing",
        session.current,
        session.id,
        session.last_used_at,
    )


_SNAPSHOT = """
select u.id, u.email, u.email_verified, u.display_name, u.status, u.epoch, u.created_at, u.updated_at, u.version,
       array(select role from user_roles where user_id = u.id order by role) as roles,
       array(select distinct unnest(r.permissions) from roles r join user_roles g on g.role = r.name
              where g.user_id = u.id) as permissions,
       array(select id from sessions where user_id = u.id and ended_at is null) as sessions
  from users u where """


class SqlDirectory:
    """Port `Directory`, straight from the tables: what a cache stands in front of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_id(self, user_id: UserId) -> Snapshot | None:
        """Read one user in one statement."""
        return await self._one(_SNAPSHOT + "u.id = $1", user_id)

    async def by_email(self, key: str) -> Snapshot | None:
        """Read one user in one statement."""
        return await self._one(_SNAPSHOT + "u.email_key = $1", key)

    async def _one(self, sql: str, value: object) -> Snapshot | None:
        async with self._database.session() as session:
            row = await session.fetchrow(sql, value)
        return _snapshot(row) if row else None


def _columns(user: User) -> dict[str, object]:
    return {name: getattr(user, name) for name in USER_COLUMNS}


def _user(row: Record) -> User:
    values = {name: row[name] for name in USER_COLUMNS if name not in ("email_key", "search_key")}
    values["status"] = UserStatus(row["status"])
    values["roles"] = frozenset(row["roles"] or ())
    return User(**values)


def _session(row: Record) -> Session:
    values = {name: row[name] for name in SESSION_COLUMNS if name not in ("ip", "user_agent")}
    return Session(**values, client=Client(ip=row["ip"], user_agent=row["user_agent"]))


def _snapshot(row: Record) -> Snapshot:
    names: Sequence[str] = (
        "id",
        "email",
        "email_verified",
        "display_name",
        "epoch",
        "created_at",
        "updated_at",
    )
    return Snapshot(
        **{name: row[name] for name in names},
        version=row["version"],
        status=UserStatus(row["status"]),
        roles=tuple(row["roles"]),
        permissions=frozenset(row["permissions"]),
        sessions=frozenset(SessionId(value) for value in row["sessions"]),
    )
