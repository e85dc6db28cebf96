"""Tasks in PostgreSQL, for commands."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

import orjson
from asyncpg import Record
from sqlalchemy import bindparam, select

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.ends import told
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import tasks
from parlor.core.shared.actor import ActorKind
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import TaskId, UserId
from parlor.core.shared.tracing import current_trace
from parlor.core.tasks.model import Priority, Requester, Task, TaskError, TaskStatus

NOBODY = "'00000000-0000-0000-0000-000000000000'"
# One row a task. A row that is being sent right now is waited for: it will be gone, and the task needs a new one.
UNLESS_WAITING = "on conflict (task_id) do update set failures = task_outbox.failures where false"
# The same columns for one task and for many. Many come as one JSON text: arrays cost this side five times as much.
GIVEN_ONE = """
    select $1::uuid as id, $2::text as kind, $3::jsonb as payload, $4::jsonb as secrets, $5::int as max_attempts,
           $6::text as priority, $7::timestamptz as run_at, $8::int as timeout_s, $9::text as unique_key,
           $10::text as requester_kind, $11::uuid as requester_id, $12::uuid as user_id, $13::uuid as schedule_id,
           $14::text as traceparent"""
GIVEN = """
    select * from json_to_recordset($1::json) as given (
        id uuid, kind text, payload jsonb, secrets jsonb, max_attempts int, priority text, run_at timestamptz,
        timeout_s int, unique_key text, requester_kind text, requester_id uuid, user_id uuid, schedule_id uuid,
        traceparent text)"""
STORED = """
insert into tasks (id, kind, payload, secrets, had_secrets, max_attempts, priority, run_at, timeout_s, unique_key,
                   requester_kind, requester_id, user_id, schedule_id, traceparent, created_at,
                   status, queued_at, started_at, attempts, fence, lease_until)
select id, kind, payload, secrets, secrets is not null, max_attempts, priority,
       coalesce(run_at, moment), timeout_s, unique_key, requester_kind, requester_id, user_id, schedule_id,
       traceparent, moment, """


def _adding(given: str) -> str:
    return f"""
with given as ({given}), clock as materialized (select clock_timestamp() as moment),
stored as ({STORED}
    case when coalesce(run_at <= moment, true) then 'queued' else 'scheduled' end,
    case when coalesce(run_at <= moment, true) then moment end, null, 0, 0, null
    from given, clock
    on conflict (kind, unique_key) where unique_key is not null and status in ('scheduled', 'queued', 'running')
    do nothing
    returning id, status, run_at, created_at, priority, user_id, requester_id, traceparent),
due as (
    insert into task_outbox (task_id, queue, requester, traceparent)
    select id, priority, coalesce(user_id, requester_id, {NOBODY}), traceparent from stored
     where status = 'queued')
select id, status, run_at, created_at from stored"""


_ADD = _adding(GIVEN)
_ADD_ONE = _adding(GIVEN_ONE)
_LIVING = """
select tasks.* from unnest($1::text[], $2::text[]) as twin (kind, unique_key)
  join tasks using (kind, unique_key) where status in ('scheduled', 'queued', 'running')"""
_SAVE = f"""
with clock as materialized (select clock_timestamp() as moment),
saved as (
    update tasks
       set status = $3, attempts = $4, result = $5, error = $6, progress = $7, secrets = $8, started_at = $9,
           run_at = coalesce($10, moment),
           queued_at = case when $3 = 'queued' then moment end,
           finished_at = case when $3 in ('succeeded', 'failed', 'cancelled') then moment end,
           lease_until = case when $3 = 'running' then lease_until end,
           losses = case when $4 = 0 then 0 else losses end,
           version = version + 1
      from clock where id = $1 and version = $2
    returning tasks.*),
due as (
    insert into task_outbox (task_id, queue, requester, traceparent)
    select id, priority, coalesce(user_id, requester_id, {NOBODY}), traceparent from saved
     where status = 'queued'
    {UNLESS_WAITING}),
told as ({told("saved")})
select version from saved"""
_CANCEL_LIVE = f"""
with found as materialized (
    select id from tasks where user_id = $1 and status in ('scheduled', 'queued', 'running')
     order by id limit $2 for no key update),
cancelled as (
    update tasks t
       set status = 'cancelled', secrets = null, queued_at = null, lease_until = null,
           finished_at = clock_timestamp(), version = version + 1
      from found where t.id = found.id returning t.*),
told as ({told("cancelled")})
select id, fence from cancelled"""
_GET = Statement(select(tasks).where(tasks.c.id == bindparam("id")).with_for_update(key_share=True))


# Looking a word up costs a tenth of calling its enum, and these are read with every task.
ACTOR_KINDS = {kind.value: kind for kind in ActorKind}
PRIORITIES = {priority.value: priority for priority in Priority}
STATUSES = {status.value: status for status in TaskStatus}


class TaskScope(Protocol):
    """What the repository needs of the work that it belongs to."""

    async def session(self) -> PooledConnection: ...


class SqlTasks:
    """Port `Tasks`. Added tasks wait until the work writes them, all in one statement."""

    def __init__(self, work: TaskScope) -> None:
        self._work = work
        self.waiting: list[Task] = []
        self.made_due: set[str] = set()
        self.told = False

    async def add(self, task: Task) -> None:
        """Keep it for the work's next statement, or its end."""
        self.waiting.append(task)

    async def add_unless_live(self, added: Sequence[Task]) -> Sequence[Task]:
        """Insert, or answer who holds the unique key; one that ended in between makes the use case run again."""
        session = await self._work.session()
        new = await self._insert(session, added)
        twins = [task for task in added if task.id not in new]
        if not twins:
            return added
        rows = await session.fetch(
            _LIVING, [task.kind for task in twins], [task.unique_key for task in twins]
        )
        living = {(row["kind"], row["unique_key"]): _task(row) for row in rows}
        if any((task.kind, task.unique_key) not in living for task in twins):
            raise Contended("uq_tasks_unique_key")
        return [task if task.id in new else living[task.kind, task.unique_key] for task in added]

    async def get(self, task_id: TaskId) -> Task:
        """Find and lock."""
        row = await _GET.row(await self._work.session(), id=task_id)
        if row is None:
            raise NotFound
        return _task(row)

    async def save(self, task: Task) -> None:
        """Store under the version that was read."""
        session = await self._work.session()
        version = await session.fetchval(
            _SAVE,
            task.id,
            task.version,
            task.status,
            task.attempts,
            task.result,
            task.error and asdict(task.error),
            task.progress,
            task.secrets,
            task.started_at,
            task.run_at,
        )
        if version is None:
            raise Contended("tasks")
        task.version = version
        if task.status is TaskStatus.QUEUED:
            self.made_due.add(task.priority)
        self.told |= task.status.ended

    async def cancel_live(self, user_id: UserId, *, limit: int) -> Mapping[TaskId, int]:
        """Cancel a batch in one statement, locked by id."""
        rows = await (await self._work.session()).fetch(_CANCEL_LIVE, user_id, limit)
        self.told |= bool(rows)
        return {TaskId(row["id"]): row["fence"] for row in rows}

    async def flush(self, session: PooledConnection) -> None:
        """Write what waits."""
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            await self._insert(session, waiting)

    async def _insert(self, session: PooledConnection, added: Sequence[Task]) -> set[TaskId]:
        if len(added) == 1:
            rows = await session.fetch(_ADD_ONE, *_columns(added[0]).values())
        else:
            rows = await session.fetch(_ADD, written(added))
        by_id = {task.id: task for task in added}
        for row in rows:
            task = by_id[row["id"]]
            task.status, task.run_at, task.created_at = (
                STATUSES[row["status"]],
                row["run_at"],
                row["created_at"],
            )
            if task.status is TaskStatus.QUEUED:
                self.made_due.add(task.priority)
        return {TaskId(row["id"]) for row in rows}


def written(added: Sequence[Task]) -> str:
    """Write tasks as `GIVEN` reads them."""
    return orjson.dumps([_columns(task) for task in added]).decode()


def _columns(task: Task) -> dict[str, object]:
    return {
        "id": task.id,
        "kind": task.kind,
        "payload": task.payload,
        "secrets": task.secrets or None,
        "max_attempts": task.max_attempts,
        "priority": task.priority,
        "run_at": task.run_at,
        "timeout_s": task.timeout_s,
        "unique_key": task.unique_key,
        "requester_kind": task.requested_by.kind,
        "requester_id": task.requested_by.id,
        "user_id": task.requested_by.user_id,
        "schedule_id": task.schedule_id,
        "traceparent": task.traceparent or current_trace(),  # what Parlor orders follows from something, too
    }


def requester(row: Record) -> Requester:
    """Read who asked."""
    return Requester(kind=ACTOR_KINDS[row["requester_kind"]], id=row["requester_id"], user_id=row["user_id"])


def _task(row: Record) -> Task:
    same = (
        "id", "kind", "payload", "secrets", "had_secrets", "result", "attempts", "max_attempts", "progress", "run_at",
        "timeout_s", "unique_key", "created_at", "started_at", "finished_at", "schedule_id", "traceparent", "fence",
        "version",
    )  # fmt: skip
    return Task(
        **{name: row[name] for name in same},
        requested_by=requester(row),
        status=STATUSES[row["status"]],
        priority=PRIORITIES[row["priority"]],
        error=TaskError(**row["error"]) if row["error"] else None,
    )
