"""Both outboxes: written inside the transaction that makes them true, relayed with confirms, then deleted."""

from collections.abc import Sequence

from asyncpg import Record

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.core.shared.bus import DueTask, Fact, SendFacts, SendTasks
from parlor.core.shared.events import Event, plain_fields
from parlor.core.shared.ids import EventId, TaskId, uuid7

LANES = 16
MOST_FAILURES = 10
REQUESTERS_A_TURN = 500

_ADD_FACT = """
with numbered as (
    insert into event_numbers (subject, last) values ($4, 1)
    on conflict (subject) do update set last = event_numbers.last + 1
    returning last)
insert into event_outbox (lane, event_id, name, version, subject, sequence, body)
select $1, $2, $3, $5, $4, last, $6 from numbered"""

# A loose index scan finds who waits; each of them gives its oldest rows, so that a long backlog of one delays nobody.
_TAKE_TASKS = f"""
with recursive waiting as (
    (select requester from task_outbox where queue = $1 order by requester limit 1)
    union all
    select (select o.requester from task_outbox o
             where o.queue = $1 and o.requester > w.requester order by o.requester limit 1)
      from waiting w where w.requester is not null),
turns as materialized (
    select requester from waiting where requester is not null order by random() limit {REQUESTERS_A_TURN}),
picked as materialized (
    select p.id, p.turn from turns cross join lateral (
        select id, row_number() over (order by id) as turn from (
            select id from task_outbox o
             where o.queue = $1 and o.requester = turns.requester order by id limit $2) oldest) p
     order by p.turn, p.id limit $2)
select o.id, o.task_id, o.queue, o.traceparent
  from task_outbox o join picked on picked.id = o.id
 order by picked.turn, o.id
   for update of o skip locked"""
_TAKE_FACTS = """
select id, lane, event_id, name, version, subject, sequence, happened_at, traceparent, body
  from event_outbox where lane = any($1) order by id limit $2"""
_BUSY_LANES = f"""
select lane from generate_series(0, {LANES - 1}) lane
 where exists (select from event_outbox o where o.lane = lane.lane)"""
_BUSY_QUEUES = """
select queue from unnest(array['high', 'default', 'low']) with ordinality as known (queue, turn)
 where exists (select from task_outbox o where o.queue = known.queue) order by turn"""
_LOCK_LANES = """
select lane from unnest($1::int[]) lane where pg_try_advisory_xact_lock(hashtext('parlor.event_outbox'), lane)"""
_DELETE = "delete from {0} where id = any($1)"
_MOVE_FAILED = f"""
with given_up as (delete from {{0}} where id = any($1) and failures >= {MOST_FAILURES} returning *)
insert into outbox_failed (outbox, row) select '{{0}}', to_jsonb(given_up) from given_up"""
_RAISE_FAILURES = "update {0} set failures = failures + 1 where id = any($1)"


async def add_fact(session: PooledConnection, event: Event) -> None:
    """Store an event with its aggregate's next number, whose row lock lasts until the commit: that is its order."""
    subject = event.subject
    lane = subject.int % LANES
    await session.execute(_ADD_FACT, lane, uuid7(), event.name, subject, event.version, plain_fields(event))


class SqlOutboxes:
    """Port `Outboxes`. A row is locked while the broker confirms it (at most 5 s), so that nobody else sends it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def relay_tasks(self, queue: str, limit: int, send: SendTasks) -> int:
        """Send due rows in turns, delete what was confirmed."""
        async with self._database.session() as session, session.transaction():
            rows = await session.fetch(_TAKE_TASKS, queue, limit)
            if not rows:
                return 0
            confirmed = await send([_due(row) for row in rows])
            sent = [row["id"] for row, good in zip(rows, confirmed, strict=True) if good]
            failed = [row["id"] for row, good in zip(rows, confirmed, strict=True) if not good]
            return await _settle(session, "task_outbox", sent, failed if sent else [])

    async def relay_facts(self, lanes: Sequence[int], limit: int, send: SendFacts) -> int:
        """Send the rows of the lanes that no other relay holds, each lane in its order.

        The locks are a statement of their own: in one statement with the read, the read's snapshot could be older
        than the lock, and show rows that the last holder had deleted.
        """
        async with self._database.session() as session, session.transaction():
            mine = [row["lane"] for row in await session.fetch(_LOCK_LANES, lanes)]
            rows = await session.fetch(_TAKE_FACTS, mine, limit) if mine else []
            if not rows:
                return 0
            confirmed = await send([_fact(row) for row in rows])
            sent, failed = _in_order(rows, confirmed)
            return await _settle(session, "event_outbox", sent, failed if any(confirmed) else [])

    async def busy_queues(self) -> Sequence[str]:
        """The queues that have rows."""
        async with self._database.session() as session:
            return [row["queue"] for row in await session.fetch(_BUSY_QUEUES)]

    async def busy_lanes(self) -> Sequence[int]:
        """The lanes that have rows."""
        async with self._database.session() as session:
            return [row["lane"] for row in await session.fetch(_BUSY_LANES)]


async def _settle(session: PooledConnection, table: str, sent: Sequence[int], failed: Sequence[int]) -> int:
    """Delete what was sent; count the failures of rows that a broker refused while it took others.

    One that took none is away, and says nothing about a row.
    """
    await session.execute(_DELETE.format(table), sent)
    if failed:
        await session.execute(_RAISE_FAILURES.format(table), failed)
        await session.execute(_MOVE_FAILED.format(table), failed)
    return len(sent)


def _in_order(rows: Sequence[Record], confirmed: Sequence[bool]) -> tuple[list[int], list[int]]:
    """Count nothing as sent that comes after a failure in its lane: it is sent again behind it, so the order holds."""
    sent: list[int] = []
    failed: dict[int, int] = {}
    for row, good in zip(rows, confirmed, strict=True):
        if good and row["lane"] not in failed:
            sent.append(row["id"])
        else:
            failed.setdefault(row["lane"], row["id"])
    return sent, list(failed.values())


def _due(row: Record) -> DueTask:
    return DueTask(task_id=TaskId(row["task_id"]), queue=row["queue"], traceparent=row["traceparent"])


def _fact(row: Record) -> Fact:
    return Fact(
        event_id=EventId(row["event_id"]),
        name=row["name"],
        version=row["version"],
        subject=row["subject"],
        sequence=row["sequence"],
        happened_at=row["happened_at"],
        body=row["body"],
        traceparent=row["traceparent"],
    )
