"""Both outboxes under several relays: nothing twice while it is locked, facts in order, nothing lost."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import pytest

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.outbox import LANES, SqlOutboxes
from parlor.core.shared.actor import ActorKind
from parlor.core.shared.bus import DueTask, Fact, Receipt
from parlor.core.shared.events import Event
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.tasks.model import Priority, Requester
from tests.builders import a_requester, a_task, an_actor
from tests.sql import Sql

DEFAULT = Priority.DEFAULT
NOTING = """
create table notes (setting text);
create function note() returns trigger language plpgsql as
$$ begin insert into notes values (current_setting('synchronous_commit')); return null; end $$"""


@dataclass(frozen=True, slots=True)
class Happened(Event):
    """Something, to an aggregate."""

    name: ClassVar[str] = "tests.happened"
    thing: UUID
    number: int

    @property
    def subject(self) -> UUID:
        return self.thing


class Broker:
    """Takes everything but what it is told to refuse, or has no room for."""

    def __init__(self) -> None:
        self.tasks: list[TaskId] = []
        self.facts: list[Fact] = []
        self.refused: set[object] = set()
        self.waiting: set[object] = set()
        self.away = False

    async def send_tasks(self, due: Sequence[DueTask]) -> Sequence[Receipt]:
        return [self._takes(one.task_id, self.tasks, one.task_id) for one in due]

    async def send_facts(self, facts: Sequence[Fact]) -> Sequence[Receipt]:
        return [self._takes(one.body["number"], self.facts, one) for one in facts]

    def _takes(self, key: object, taken: list[object] | list[TaskId] | list[Fact], what: object) -> Receipt:
        if self.away or key in self.waiting:
            return Receipt.WAITS
        if key in self.refused:
            return Receipt.REFUSED
        taken.append(what)  # type: ignore[arg-type]  # the caller gives a list of its own kind
        return Receipt.TAKEN


class SlowBroker(Broker):
    """Holds every send until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.sending = asyncio.Event()
        self.go = asyncio.Event()

    async def send_tasks(self, due: Sequence[DueTask]) -> Sequence[Receipt]:
        self.sending.set()
        await self.go.wait()
        return await super().send_tasks(due)

    async def send_facts(self, facts: Sequence[Fact]) -> Sequence[Receipt]:
        self.sending.set()
        await self.go.wait()
        return await super().send_facts(facts)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def outboxes(database: Database) -> SqlOutboxes:
    return SqlOutboxes(database)


@pytest.fixture
def broker() -> Broker:
    return Broker()


async def publish(sql: Sql, thing: UUID, *numbers: int) -> None:
    async with sql.work() as work:
        for number in numbers:
            work.publish(Happened(thing, number))


def lane_of(thing: UUID) -> int:
    return thing.int % LANES


# Tasks


async def test_what_was_sent_is_gone_from_the_outbox(sql: Sql, outboxes: SqlOutboxes, broker: Broker) -> None:
    ids = await sql.enqueue(a_task(), a_task())
    assert await outboxes.relay_tasks(DEFAULT, 10, broker.send_tasks) == 2
    assert sorted(broker.tasks) == sorted(ids)
    assert await sql.outbox() == []
    assert await outboxes.relay_tasks(DEFAULT, 10, broker.send_tasks) == 0


@pytest.mark.parametrize("outbox", ["task_outbox", "event_outbox"])
async def test_no_relay_waits_for_the_disk(
    sql: Sql, outboxes: SqlOutboxes, broker: Broker, outbox: str
) -> None:
    """A crash of the database brings back what was deleted, and that is sent again (ADR 10)."""
    await sql.execute(NOTING)
    await sql.execute(
        f"create trigger note before delete on {outbox} for each statement execute function note()"
    )
    await sql.enqueue(a_task())
    await publish(sql, thing := uuid7(), 1)
    await outboxes.relay_tasks(DEFAULT, 10, broker.send_tasks)
    await outboxes.relay_facts([lane_of(thing)], 10, broker.send_facts)
    assert [noted["setting"] for noted in await sql.rows("select setting from notes")] == ["off"]


async def test_a_message_says_which_task_and_where_it_comes_from(sql: Sql, outboxes: SqlOutboxes) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    task = a_task(priority=Priority.HIGH, traceparent=trace)
    await sql.enqueue(task, a_task(priority=Priority.LOW))
    sent: list[DueTask] = []

    async def send(due: Sequence[DueTask]) -> Sequence[Receipt]:
        sent.extend(due)
        return [Receipt.TAKEN] * len(due)

    await outboxes.relay_tasks(Priority.HIGH, 10, send)
    assert sent == [DueTask(task.id, "high", trace)]


async def test_no_row_is_sent_by_two_relays(sql: Sql, outboxes: SqlOutboxes) -> None:
    """While one waits for its confirms the other passes by."""
    slow, other = SlowBroker(), Broker()
    first = await sql.enqueue(*(a_task() for _ in range(5)))
    sending = asyncio.create_task(outboxes.relay_tasks(DEFAULT, 5, slow.send_tasks))
    await slow.sending.wait()
    second = await sql.enqueue(*(a_task() for _ in range(3)))
    assert await outboxes.relay_tasks(DEFAULT, 10, other.send_tasks) == 3
    slow.go.set()
    assert await sending == 5
    assert (sorted(slow.tasks), sorted(other.tasks)) == (sorted(first), sorted(second))
    assert await sql.outbox() == []


async def test_relays_at_once_send_everything_once(sql: Sql, outboxes: SqlOutboxes, broker: Broker) -> None:
    ids = await sql.enqueue(*(a_task() for _ in range(300)))

    async def relay() -> None:
        while await sql.outbox():
            await outboxes.relay_tasks(DEFAULT, 20, broker.send_tasks)

    await asyncio.gather(*(relay() for _ in range(4)))
    assert Counter(broker.tasks) == Counter(ids)


async def test_requesters_take_turns(sql: Sql, outboxes: SqlOutboxes, broker: Broker) -> None:
    """The one task of the second does not wait behind the hundred of the first."""
    greedy, modest = a_requester(), a_requester()
    for _ in range(100):
        await sql.enqueue(a_task(requested_by=greedy))
    (only,) = await sql.enqueue(a_task(requested_by=modest))
    await outboxes.relay_tasks(DEFAULT, 10, broker.send_tasks)
    assert only in broker.tasks[:2]
    assert len(broker.tasks) == 10


async def test_each_requesters_tasks_go_out_in_their_order(
    sql: Sql, outboxes: SqlOutboxes, broker: Broker
) -> None:
    requesters = [a_requester() for _ in range(3)]
    ids: dict[Requester, list[TaskId]] = defaultdict(list)
    for _ in range(4):
        for requester in requesters:
            ids[requester] += await sql.enqueue(a_task(requested_by=requester))
    while await outboxes.relay_tasks(DEFAULT, 5, broker.send_tasks):
        pass
    for mine in ids.values():
        assert [one for one in broker.tasks if one in mine] == mine


async def test_who_speaks_for_nobody_shares_one_turn(sql: Sql, outboxes: SqlOutboxes, broker: Broker) -> None:
    """Tasks of the system, and of producers without a user."""
    system = [a_task(requested_by=Requester(ActorKind.SYSTEM)) for _ in range(5)]
    person = a_task(requested_by=a_requester(an_actor()))
    await sql.enqueue(*system, person)
    await outboxes.relay_tasks(DEFAULT, 2, broker.send_tasks)
    assert person.id in broker.tasks


async def test_what_was_refused_stays_and_is_counted(sql: Sql, outboxes: SqlOutboxes, broker: Broker) -> None:
    taken, refused = await sql.enqueue(a_task(), a_task())
    broker.refused = {refused}
    assert await outboxes.relay_tasks(DEFAULT, 10, broker.send_tasks) == 1
    assert await sql.outbox() == [refused]
    assert await sql.value("select failures from task_outbox") == 1
    broker.refused = set()
    await outboxes.relay_tasks(DEFAULT, 10, broker.send_tasks)
    assert broker.tasks == [taken, refused]


async def test_a_broker_that_is_away_is_no_rows_fault(
    sql: Sql, outboxes: SqlOutboxes, broker: Broker
) -> None:
    """However long it is away, nothing is given up."""
    ids = await sql.enqueue(a_task(), a_task())
    await publish(sql, thing := uuid7(), 1, 2)
    broker.away = True
    for _ in range(12):
        assert await outboxes.relay_tasks(DEFAULT, 10, broker.send_tasks) == 0
        assert await outboxes.relay_facts([lane_of(thing)], 10, broker.send_facts) == 0
    assert sorted(await sql.outbox()) == sorted(ids)
    assert [fact["failures"] for fact in await sql.facts()] == [0, 0]


async def test_a_queue_that_is_nearly_full_is_no_rows_fault(
    sql: Sql, outboxes: SqlOutboxes, broker: Broker
) -> None:
    """It takes some and has no room for others, again and again: these wait."""
    (late,) = await sql.enqueue(a_task())
    broker.waiting = {late}
    for _ in range(12):
        await sql.enqueue(a_task())
        assert await outboxes.relay_tasks(DEFAULT, 10, broker.send_tasks) == 1
    assert await sql.outbox() == [late]
    assert await sql.value("select failures from task_outbox") == 0


async def test_a_row_that_is_refused_alone_is_put_aside_too(
    sql: Sql, outboxes: SqlOutboxes, broker: Broker
) -> None:
    broker.refused = set(await sql.enqueue(a_task()))
    for _ in range(10):
        assert await outboxes.relay_tasks(DEFAULT, 10, broker.send_tasks) == 0
    assert await sql.outbox() == []
    assert await sql.value("select count(*) from outbox_failed") == 1


async def test_a_relay_that_dies_while_sending_leaves_the_rows(sql: Sql, outboxes: SqlOutboxes) -> None:
    ids = await sql.enqueue(a_task())
    await publish(sql, thing := uuid7(), 1)

    async def die(_: Sequence[object]) -> Sequence[Receipt]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await outboxes.relay_tasks(DEFAULT, 10, die)
    with pytest.raises(ZeroDivisionError):
        await outboxes.relay_facts([lane_of(thing)], 10, die)
    assert await sql.outbox() == ids
    assert len(await sql.facts()) == 1


async def test_a_row_that_fails_ten_times_is_put_aside(
    sql: Sql, outboxes: SqlOutboxes, broker: Broker
) -> None:
    (refused,) = await sql.enqueue(a_task())
    broker.refused = {refused}
    for _ in range(10):
        assert await sql.outbox() == [refused]
        await sql.enqueue(a_task())
        await outboxes.relay_tasks(DEFAULT, 10, broker.send_tasks)
    assert await sql.outbox() == []
    (failed,) = await sql.rows("select outbox, row from outbox_failed")
    assert failed["outbox"] == "task_outbox"
    assert (failed["row"]["task_id"], failed["row"]["failures"]) == (str(refused), 10)


async def test_a_task_put_back_while_its_message_is_sent_is_sent_again(
    sql: Sql, outboxes: SqlOutboxes
) -> None:
    """Its worker may be as fast as the confirm: the new message must not vanish with the old row."""
    (task_id,) = await sql.enqueue(a_task())
    slow = SlowBroker()
    sending = asyncio.create_task(outboxes.relay_tasks(DEFAULT, 10, slow.send_tasks))
    await slow.sending.wait()
    (attempt,) = await sql.runs.claim([task_id], [])
    giving_back = asyncio.create_task(sql.runs.give_back({task_id: attempt.fence}))
    await asyncio.wait([giving_back], timeout=0.1)
    slow.go.set()
    await sending
    await giving_back
    assert (await sql.task(task_id))["status"] == "queued"
    assert await sql.outbox() == [task_id]


# Facts


async def test_a_fact_carries_its_event(sql: Sql, outboxes: SqlOutboxes, broker: Broker) -> None:
    thing = uuid7()
    await publish(sql, thing, 7)
    assert await outboxes.relay_facts([lane_of(thing)], 10, broker.send_facts) == 1
    (fact,) = broker.facts
    assert (fact.name, fact.version, fact.subject, fact.sequence) == ("tests.happened", 1, thing, 1)
    assert fact.body == {"thing": str(thing), "number": 7}
    assert await sql.facts() == []


async def test_busy_lanes_are_those_with_facts(sql: Sql, outboxes: SqlOutboxes, broker: Broker) -> None:
    things = [UUID(int=lane) for lane in (0, 7, 15)]
    for thing in things:
        await publish(sql, thing, 1)
    assert sorted(await outboxes.busy_lanes()) == [0, 7, 15]
    await outboxes.relay_facts([7], 10, broker.send_facts)
    assert sorted(await outboxes.busy_lanes()) == [0, 15]


async def test_a_lane_is_relayed_by_one_at_a_time(sql: Sql, outboxes: SqlOutboxes, broker: Broker) -> None:
    thing, slow = uuid7(), SlowBroker()
    await publish(sql, thing, 1, 2)
    sending = asyncio.create_task(outboxes.relay_facts([lane_of(thing)], 10, slow.send_facts))
    await slow.sending.wait()
    assert await outboxes.relay_facts([lane_of(thing)], 10, broker.send_facts) == 0
    slow.go.set()
    assert await sending == 2
    assert broker.facts == []


async def test_facts_stay_in_order_and_none_is_lost_under_many_relays(
    sql: Sql, outboxes: SqlOutboxes, broker: Broker
) -> None:
    """Writers and relays all at once; each aggregate's facts arrive as they were numbered."""
    things = [uuid7() for _ in range(12)]
    written = asyncio.Event()

    async def write(start: int) -> None:
        for number in range(start, start + 15):
            for thing in things:
                await publish(sql, thing, number)

    async def relay() -> None:
        while not written.is_set() or await sql.facts():
            for lane in await outboxes.busy_lanes():
                await outboxes.relay_facts([lane], 5, broker.send_facts)

    relays = [asyncio.create_task(relay()) for _ in range(4)]
    await asyncio.gather(write(0), write(100))
    written.set()
    await asyncio.gather(*relays)
    by_thing: dict[UUID, list[int]] = defaultdict(list)
    for fact in broker.facts:
        by_thing[fact.subject].append(fact.sequence)
    assert by_thing == {thing: list(range(1, 31)) for thing in things}


async def test_a_fact_that_waits_holds_up_its_lane_and_is_not_counted(
    sql: Sql, outboxes: SqlOutboxes, broker: Broker
) -> None:
    thing = uuid7()
    await publish(sql, thing, 1, 2)
    broker.waiting = {1}
    for _ in range(12):
        assert await outboxes.relay_facts([lane_of(thing)], 10, broker.send_facts) == 0
    assert [(fact["body"]["number"], fact["failures"]) for fact in await sql.facts()] == [(1, 0), (2, 0)]


async def test_what_follows_a_refused_fact_waits_for_it(
    sql: Sql, outboxes: SqlOutboxes, broker: Broker
) -> None:
    """It may have been sent already; it is sent again behind it."""
    thing = uuid7()
    await publish(sql, thing, 1, 2, 3)
    broker.refused = {2}
    assert await outboxes.relay_facts([lane_of(thing)], 10, broker.send_facts) == 1
    assert [fact["body"]["number"] for fact in await sql.facts()] == [2, 3]
    broker.refused = set()
    assert await outboxes.relay_facts([lane_of(thing)], 10, broker.send_facts) == 2
    assert [fact.body["number"] for fact in broker.facts] == [1, 3, 2, 3]


async def test_a_fact_that_fails_ten_times_is_put_aside_alone(
    sql: Sql, outboxes: SqlOutboxes, broker: Broker
) -> None:
    """What waits behind it has done nothing wrong, and goes out then."""
    thing = uuid7()
    await publish(sql, thing, 1, 2, 3)
    broker.refused = {1}
    for _ in range(10):
        await outboxes.relay_facts([lane_of(thing)], 10, broker.send_facts)
    (failed,) = await sql.rows("select outbox, row from outbox_failed")
    assert (failed["outbox"], failed["row"]["body"]["number"]) == ("event_outbox", 1)
    assert await outboxes.relay_facts([lane_of(thing)], 10, broker.send_facts) == 2
    assert await sql.facts() == []
