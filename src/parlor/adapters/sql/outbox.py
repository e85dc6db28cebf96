"""Both outboxes: written inside the transaction that makes them true, relayed with confirms, then deleted."""

from collections.abc import Sequence

import structlog
from asyncpg import Record

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.core.shared.bus import DueTask, Fact, Receipt, Replay, SendFacts, SendReplays, SendTasks
from parlor.core.shared.events import Event, plain_fields
from parlor.core.shared.ids import DeadLetterId, EventId, TaskId, uuid7
from parlor.core.shared.tracing import current_trace

log = structlog.get_logger()

LANES = 16
MOST_FAILURES = 10
REQUESTERS_A_TURN = 500

_ADD_FACT = """
with numbered as (
    insert into event_numbers (subject, last) values ($4, 1)
    on conflict (subject) do update set last = event_numbers.last + 1
    returning last)
insert into event_outbox (lane, event_id, name, version, subject, sequence, body, traceparent)
select $1, $2, $3, $5, $4, last, $6, $7 from numbered"""

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
_TAKE_REPLAYS = """
select id, letter_id, queue, message_id, headers, body, content_type, properties
  from replay_outbox where queue = $1 order by id limit $2 for update skip locked"""
_BUSY_LANES = f"""
select lane from generate_series(0, {LANES - 1}) lane
 where exists (select from event_outbox o where o.lane = lane.lane)"""
_BUSY_QUEUES = """
select queue from unnest(array['high', 'default', 'low']) with ordinality as known (queue, turn)
 where exists (select from {0} o where o.queue = known.queue) order by turn"""
_LOCK_LANES = """
select lane from unnest($1::int[]) lane where pg_try_advisory_xact_lock(hashtext('parlor.event_outbox'), lane)"""
_DELETE = "delete from {0} where id = any($1)"
_MOVE_FAILED = f"""
with given_up as (delete from {{0}} where id = any($1) and failures >= {MOST_FAILURES} returning *)
insert into outbox_failed (outbox, row) select '{{0}}', to_jsonb(given_up) from given_up returning id"""
_RAISE_FAILURES = "update {0} set failures = failures + 1 where id = any($1)"


async def add_fact(session: PooledConnection, event: Event) -> None:
    """Store an event with its aggregate's next number, whose row lock lasts until the commit: that is its order."""
    subject = event.subject
    told = (event.name, subject, event.version, plain_fields(event), current_trace())
    await session.execute(_ADD_FACT, subject.int % LANES, uuid7(), *told)


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
            receipts = await send([_due(row) for row in rows])
            return await _settle(session, "task_outbox", *_sorted(rows, receipts))

    async def relay_replays(self, queue: str, limit: int, send: SendReplays) -> int:
        """Send the oldest rows, delete what was taken."""
        async with self._database.session() as session, session.transaction():
            rows = await session.fetch(_TAKE_REPLAYS, queue, limit)
            if not rows:
                return 0
            receipts = await send([_replay(row) for row in rows])
            return await _settle(session, "replay_outbox", *_sorted(rows, receipts))

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
            receipts = await send([_fact(row) for row in rows])
            return await _settle(session, "event_outbox", *_in_order(rows, receipts))

    async def busy_queues(self) -> Sequence[str]:
        """The queues that have rows."""
        async with self._database.session() as session:
            return [row["queue"] for row in await session.fetch(_BUSY_QUEUES.format("task_outbox"))]

    async def busy_replays(self) -> Sequence[str]:
        """The queues that have replays."""
        async with self._database.session() as session:
            return [row["queue"] for row in await session.fetch(_BUSY_QUEUES.format("replay_outbox"))]

    async def busy_lanes(self) -> Sequence[int]:
        """The lanes that have rows."""
        async with self._database.session() as session:
            return [row["lane"] for row in await session.fetch(_BUSY_LANES)]


async def _settle(session: PooledConnection, table: str, sent: Sequence[int], refused: Sequence[int]) -> int:
    """Delete what was taken; count what was refused, and put aside what has been too often.

    What waits is not counted: a broker that is away or full says nothing about a row. The commit does not wait for the
    disk: what a crash of the database brings back is sent again (ADR 10).
    """
    await session.execute("set local synchronous_commit to off")
    await session.execute(_DELETE.format(table), sent)
    if refused:
        await session.execute(_RAISE_FAILURES.format(table), refused)
        moved = await session.fetch(_MOVE_FAILED.format(table), refused)
        log.error("outbox_refused", outbox=table, rows=len(refused), put_aside=[row["id"] for row in moved])
    return len(sent)


def _sorted(rows: Sequence[Record], receipts: Sequence[Receipt]) -> tuple[list[int], list[int]]:
    """Tell what was taken, and what was refused."""
    answered = [(row["id"], receipt) for row, receipt in zip(rows, receipts, strict=True)]
    taken = [row_id for row_id, receipt in answered if receipt is Receipt.TAKEN]
    return taken, [row_id for row_id, receipt in answered if receipt is Receipt.REFUSED]


def _in_order(rows: Sequence[Record], receipts: Sequence[Receipt]) -> tuple[list[int], list[int]]:
    """Count nothing as taken that comes after a failure in its lane: it is sent again behind it, so the order holds."""
    taken: list[int] = []
    first_failed: dict[int, tuple[int, Receipt]] = {}
    for row, receipt in zip(rows, receipts, strict=True):
        if receipt is Receipt.TAKEN and row["lane"] not in first_failed:
            taken.append(row["id"])
        else:
            first_failed.setdefault(row["lane"], (row["id"], receipt))
    return taken, [row_id for row_id, receipt in first_failed.values() if receipt is Receipt.REFUSED]


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


def _replay(row: Record) -> Replay:
    return Replay(
        letter_id=DeadLetterId(row["letter_id"]),
        queue=row["queue"],
        message_id=row["message_id"],
        headers=row["headers"],
        body=row["body"],
        content_type=row["content_type"],
        properties=row["properties"],
    )
