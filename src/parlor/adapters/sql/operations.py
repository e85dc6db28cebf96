"""What whoever runs Parlor sees at a glance, in PostgreSQL: every count bounded, every row found by an index."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from asyncpg import Record

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.tasks import PRIORITIES, STATUSES
from parlor.core.shared.actor import Actor
from parlor.core.shared.ids import DeadLetterId, TaskId
from parlor.core.tasks.last_hour import STEPS_PER_E, EndedAlike, LastHour
from parlor.core.tasks.model import MANAGE, TaskStatus
from parlor.core.tasks.operations import (
    MOST_COUNTED,
    Backlog,
    Company,
    DatabaseUse,
    LetterLine,
    Live,
    Numbers,
    TaskLine,
)

# Each with its table, and the column that says since when a row waits.
OUTBOXES = {
    "tasks": ("task_outbox", "created_at"),
    "events": ("event_outbox", "happened_at"),
    "replays": ("replay_outbox", "created_at"),
}


def _count(rows: str) -> str:
    return f"(select count(*) from (select from {rows} limit {MOST_COUNTED}) counted)"


def _age_s(moment: str) -> str:
    return f"extract(epoch from clock_timestamp() - {moment})::float8"


# An order keeps the planner on the index, whatever it believes about how many rows there are. The least id of a moment
# finds what was made since then: ids begin with their milliseconds (RFC 9562).
_SINCE = """(lpad(to_hex((extract(epoch from statement_timestamp() - interval '5 min') * 1000)::bigint), 12, '0')
             || repeat('0', 20))::uuid"""
_COMPANY = f"""
select count(*) as sessions, count(distinct user_id) as users
  from (select user_id from sessions where last_used_at > statement_timestamp() - interval '1 hour'
         order by last_used_at desc limit {MOST_COUNTED}) used"""
_WRITTEN = f"""
select count(*) as messages, count(distinct chat_id) as chats
  from (select chat_id from messages where id >= {_SINCE} order by id desc limit {MOST_COUNTED}) new"""
_DATABASE = f"""
select (select sum(numbackends) from pg_stat_database)::int as connections,
       current_setting('max_connections')::int as most_connections,
       (select max({_age_s("xact_start")}) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()) as oldest_transaction_s"""
_COUNTS = {
    "scheduled": "tasks where status = 'scheduled' order by run_at",
    "queued": "tasks where status = 'queued' order by queued_at",
    "held_back": "tasks where status = 'queued' and queued_at is null order by kind",
    "running": "tasks where status = 'running' order by lease_until",
    "expired": "tasks where status = 'running' and lease_until < statement_timestamp() order by lease_until",
    "put_aside": "outbox_failed order by id",
    "letters": "dead_letters where replayed_at is null order by dead_at desc, id desc",
}
_COUNTS |= {
    f"unsent_{queue}": f"task_outbox where queue = '{queue}' order by requester, id" for queue in PRIORITIES
}
_COUNTS |= {f"{table}_rows": f"{table} order by id" for table, _ in OUTBOXES.values()}
# The row with the lowest id is the oldest, as near as matters.
_AGES = {
    f"{table}_s": f"(select {_age_s(moment)} from {table} order by id limit 1)"
    for table, moment in OUTBOXES.values()
}
_PRESENT = f"""
select clock_timestamp() as at, company.*, written.*, database.*,
       {", ".join(f"{_count(rows)} as {name}" for name, rows in _COUNTS.items())},
       {", ".join(f"{age} as {name}" for name, age in _AGES.items())}
  from ({_COMPANY}) company, ({_WRITTEN}) written, ({_DATABASE}) database"""

_STEP = f"floor({STEPS_PER_E} * ln(greatest(1, 1000 * extract(epoch from finished_at - started_at)::float8)))::int"
_ENDED = f"""
select date_trunc('minute', finished_at, 'UTC') as minute, kind, status, {_STEP} as step, count(*) as tasks,
       count(*) filter (where status = 'failed' and error ->> 'code' = 'worker_lost') as lost
  from tasks where finished_at >= $1 and finished_at < $2 group by 1, 2, 3, 4"""

_SINCE_WHEN = {
    TaskStatus.FAILED: ("finished_at", "finished_at desc, id desc"),
    TaskStatus.RUNNING: ("started_at", "started_at, id"),
    TaskStatus.QUEUED: ("coalesce(queued_at, created_at)", "queued_at"),
    TaskStatus.SCHEDULED: ("run_at", "run_at"),
}
_TASKS = {
    status: f"""
select id, kind, status, {since} as since, attempts, max_attempts, error ->> 'code' as code,
       error ->> 'message' as message,
       status = 'running' and lease_until < clock_timestamp() as expired
  from tasks where status = '{status}' and ($1::text is null or kind = $1) order by {order} limit $2"""
    for status, (since, order) in _SINCE_WHEN.items()
}
_LETTERS = """
select id, reason, detail, message_id, dead_at from dead_letters
 where replayed_at is null and ($1::text is null or reason = $1) order by dead_at desc, id desc limit $2"""


class SqlOperationsViews:
    """Port `OperationsViews`. What has ended is read minute by minute, and kept."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_hour = LastHour()

    async def numbers(self, viewer: Actor) -> Numbers:
        """Read how it is now, and what ended since the last reading."""
        viewer.must(MANAGE)
        async with self._database.session() as session:
            present = await session.fetchrow(_PRESENT)
            assert present is not None, "it reads from no table"
            now: datetime = present["at"]
            await self._read_ends(session, now)
        return _numbers(present, self._last_hour)

    async def tasks(
        self, viewer: Actor, *, status: TaskStatus, kind: str | None, limit: int
    ) -> Sequence[TaskLine]:
        """Read a list."""
        viewer.must(MANAGE)
        async with self._database.session() as session:
            return [_task_line(row) for row in await session.fetch(_TASKS[status], kind, limit)]

    async def letters(self, viewer: Actor, *, reason: str | None, limit: int) -> Sequence[LetterLine]:
        """Read a list."""
        viewer.must(MANAGE)
        async with self._database.session() as session:
            return [_letter_line(row) for row in await session.fetch(_LETTERS, reason, limit)]

    async def _read_ends(self, session: PooledConnection, now: datetime) -> None:
        for since, until in self._last_hour.unread(now):
            rows = await session.fetch(_ENDED, since, until)
            self._last_hour.keep(now, since, until, map(_ended_alike, rows))


def _numbers(row: Record, hour: LastHour) -> Numbers:
    return Numbers(
        at=row["at"],
        minutes=hour.minutes(row["at"]),
        kinds=hour.kinds(),
        lost=hour.lost(),
        live=Live(**_named(row, "scheduled", "queued", "held_back", "running", "expired")),
        unsent={queue: row[f"unsent_{queue}"] for queue in PRIORITIES},
        outboxes={
            name: Backlog(row[f"{table}_rows"], row[f"{table}_s"]) for name, (table, _) in OUTBOXES.items()
        },
        put_aside=row["put_aside"],
        letters=row["letters"],
        company=Company(**_named(row, "users", "sessions", "chats", "messages")),
        database=DatabaseUse(**_named(row, "connections", "most_connections", "oldest_transaction_s")),
    )


def _named(row: Record, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _ended_alike(row: Record) -> EndedAlike:
    status = STATUSES[row["status"]]
    return EndedAlike(row["minute"], row["kind"], status, row["step"], row["tasks"], row["lost"])


def _task_line(row: Record) -> TaskLine:
    return TaskLine(**{**row, "id": TaskId(row["id"]), "status": STATUSES[row["status"]]})


def _letter_line(row: Record) -> LetterLine:
    return LetterLine(**{**row, "id": DeadLetterId(row["id"])})
