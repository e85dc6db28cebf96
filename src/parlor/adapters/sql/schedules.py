"""Schedules in PostgreSQL, their owners' rights, and the JSON that readers get."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from asyncpg import Record
from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import schedules
from parlor.adapters.sql.views import after_key, json_object, moment, page_of, paged
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import ScheduleId, UserId
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.tasks.model import MANAGE, Priority
from parlor.core.tasks.schedules import MAX_SCHEDULES, Schedule, TooManySchedules

COLUMNS = tuple(column.name for column in schedules.c)

# Whoever adds for the same owner waits until this transaction ends: then the count is true.
_ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtextextended('schedules of ' || $1::uuid::text, 0))"
_COUNT = Statement(select(func.count()).where(schedules.c.owner_id == bindparam("owner_id")))
_ADD = Statement(insert(schedules))
_GET = Statement(select(schedules).where(schedules.c.id == bindparam("id")).with_for_update(key_share=True))
_SAVE = Statement(
    update(schedules)
    .where(schedules.c.id == bindparam("schedule_id"), schedules.c.version == bindparam("seen"))
    .values({name: bindparam(f"new_{name}") for name in COLUMNS if name != "id"})
)
_REMOVE = Statement(delete(schedules).where(schedules.c.id == bindparam("id")))
_REMOVE_ALL = Statement(delete(schedules).where(schedules.c.owner_id == bindparam("owner_id")))
_DUE = Statement(
    select(schedules)
    .where(
        schedules.c.next_run_at <= bindparam("now"),
        schedules.c.kind == func.any(bindparam("kinds", type_=ARRAY(Text))),
    )
    .order_by(schedules.c.next_run_at, schedules.c.id)
    .limit(bindparam("most"))
    .with_for_update(key_share=True, skip_locked=True)
)
_RECORD = """
update schedules s
   set enabled = f.enabled, next_run_at = f.next_run_at, last_run_at = f.last_run_at, last_task_id = f.last_task_id,
       version = s.version + (not f.enabled)::int
  from unnest($1::uuid[], $2::bool[], $3::timestamptz[], $4::timestamptz[], $5::uuid[])
       as f (id, enabled, next_run_at, last_run_at, last_task_id)
 where s.id = f.id"""
_PERMISSIONS = """
select u.id, array(select distinct unnest(r.permissions) from roles r join user_roles g on g.role = r.name
                    where g.user_id = u.id) as permissions
  from users u where u.id = any($1::uuid[]) and u.status = 'active'"""


class ScheduleScope(Protocol):
    """What the repositories need of the work that they belong to."""

    async def session(self) -> PooledConnection: ...


class SqlSchedules:
    """Port `Schedules`."""

    def __init__(self, work: ScheduleScope) -> None:
        self._work = work

    async def add(self, schedule: Schedule) -> None:
        """Insert, with the owner's other additions held back."""
        session = await self._work.session()
        await session.execute(_ONE_AT_A_TIME, schedule.owner_id)
        counted = await _COUNT.row(session, owner_id=schedule.owner_id)
        if counted is None or counted[0] >= MAX_SCHEDULES:
            raise TooManySchedules
        await _ADD.run(session, **_columns(schedule))

    async def get(self, schedule_id: ScheduleId) -> Schedule:
        """Find and lock."""
        row = await _GET.row(await self._work.session(), id=schedule_id)
        if row is None:
            raise NotFound
        return _schedule(row)

    async def save(self, schedule: Schedule) -> None:
        """Store under the version that was read, and raise it."""
        new = {f"new_{name}": value for name, value in _columns(schedule).items() if name != "id"}
        new["new_version"] = schedule.version + 1
        session = await self._work.session()
        if await _SAVE.run(session, schedule_id=schedule.id, seen=schedule.version, **new) == 0:
            raise Contended("schedules.version")
        schedule.version += 1

    async def remove(self, schedule_id: ScheduleId) -> None:
        """Delete the row."""
        await _REMOVE.run(await self._work.session(), id=schedule_id)

    async def remove_all(self, owner_id: UserId) -> None:
        """Delete the owner's rows."""
        await _REMOVE_ALL.run(await self._work.session(), owner_id=owner_id)

    async def due(self, now: datetime, *, kinds: Collection[str], limit: int) -> Sequence[Schedule]:
        """Take what nobody else has locked."""
        session = await self._work.session()
        return [_schedule(row) for row in await _DUE.rows(session, now=now, kinds=sorted(kinds), most=limit)]

    async def record(self, fired: Sequence[Schedule]) -> None:
        """Update all of them in one statement."""
        names = ("id", "enabled", "next_run_at", "last_run_at", "last_task_id")
        news = [[getattr(schedule, name) for schedule in fired] for name in names]
        await (await self._work.session()).execute(_RECORD, *news)


class SqlOwners:
    """Port `Owners`: a read of identity's tables, in the transaction that acts on it."""

    def __init__(self, work: ScheduleScope) -> None:
        self._work = work

    async def permissions(self, owner_ids: Collection[UserId]) -> Mapping[UserId, frozenset[str]]:
        """Read all of them in one statement."""
        rows = await (await self._work.session()).fetch(_PERMISSIONS, sorted(owner_ids))
        return {UserId(row["id"]): frozenset(row["permissions"]) for row in rows}


def _columns(schedule: Schedule) -> dict[str, object]:
    return {name: getattr(schedule, name) for name in COLUMNS}


def _schedule(row: Record) -> Schedule:
    values = {name: row[name] for name in COLUMNS}
    return Schedule(**values | {"priority": Priority(row["priority"])})


SCHEDULE = json_object(
    {name: name for name in ("id", "name", "cron", "timezone", "kind", "payload", "priority", "enabled")}
    | {name: moment(name) for name in ("next_run_at", "last_run_at")}
    | {name: name for name in ("last_task_id", "version")}
)
_ONE = f"select {SCHEDULE}::text from schedules where ($1 or owner_id = $2) and id = $3"


class SqlScheduleViews:
    """Port `ScheduleViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def one(self, viewer: Actor, schedule_id: ScheduleId) -> bytes:
        """Read one row as JSON."""
        async with self._database.session() as session:
            view = await session.fetchval(_ONE, viewer.may(MANAGE), viewer.user_id, schedule_id)
        if view is None:
            raise NotFound
        return str(view).encode()

    async def page(self, viewer: Actor, page: PageRequest) -> Page[bytes]:
        """Read a page, newest first."""
        sql, arguments = _page_of_schedules(viewer, page)
        async with self._database.session() as session:
            return page_of(await session.fetchrow(sql, *arguments))


def _page_of_schedules(viewer: Actor, page: PageRequest) -> tuple[str, list[object]]:
    """Write the statement that one of the indexes answers."""
    everybodys = viewer.may(MANAGE)
    wheres: list[str] = [] if everybodys else ["owner_id = $1"]
    arguments: list[object] = [] if everybodys else [viewer.user_id]
    if page.after is not None:
        arguments += after_key(page.after)
        wheres.append(f"(created_at, id) < (${len(arguments) - 1}, ${len(arguments)})")
    arguments.append(page.limit)
    rows = f"schedules where {' and '.join(wheres) or 'true'}"
    return paged(SCHEDULE, "created_at", rows, f"${len(arguments)}::int"), arguments
