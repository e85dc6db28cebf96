"""Runner: deliveries become runs, and each is acknowledged when nothing can be lost any more."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from parlor.adapters.threads import DaemonThreads
from parlor.core.identity.events import UserRegistered
from parlor.core.shared.bus import Delivery
from parlor.core.shared.errors import Contended, DatabaseAway
from parlor.core.shared.handling import Context, Fail
from parlor.core.shared.ids import TaskId, UserId, uuid7
from parlor.core.shared.meters import ONE, Labels, Meters, Timing
from parlor.core.shared.tracing import current_trace
from parlor.core.tasks.cancelling import CANCELLED_CHANNEL, cancelled_message
from parlor.core.tasks.foreign import AdmitForeign, Producers
from parlor.core.tasks.model import Failed, Postponed, Progress, Succeeded, Task
from parlor.core.tasks.running import RunAttempt
from parlor.core.tasks.waiting import ENDED_CHANNEL
from parlor.core.tasks.watching import MOVED_CHANNEL
from parlor.entrypoints.consume_worker import endings, patience, runner as module
from parlor.entrypoints.consume_worker.attempts import Attempts
from parlor.entrypoints.consume_worker.runner import Runner
from tests.builders import a_delivery, a_due_delivery, an_attempt
from tests.fakes.running import FakeFeed, FakeInbox, FakeRuns, Log
from tests.fakes.tasks import Act, Echo, Note, echo, kinds_that
from tests.fakes.work import FakeDatabase
from tests.waiting import eventually

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

LEASE_S = 0.03
HAPPENED = UserRegistered(UserId(uuid7()))


@dataclass(slots=True)
class Worker:
    """A runner between fakes, whose handler does what the test says."""

    act: Act = echo
    log: Log = field(default_factory=list)
    inbox: FakeInbox = field(init=False)
    runs: FakeRuns = field(init=False)
    feed: FakeFeed = field(default_factory=FakeFeed)
    runner: Runner = field(init=False)
    slots: int = 10
    limited: tuple[str, ...] = ()
    meters: Meters = field(default_factory=Meters)
    attempts: Attempts | None = None

    def __post_init__(self) -> None:
        self.inbox, self.runs = FakeInbox(self.log), FakeRuns(self.log)
        kinds = kinds_that(self.act)
        self.runner = Runner(
            inbox=self.inbox,
            runs=self.runs,
            admit=AdmitForeign(kinds, Producers(), FakeDatabase().work),
            run_attempt=RunAttempt(kinds, DaemonThreads(2), lambda: 0.5),
            feed=self.feed,
            slots=self.slots,
            lease_s=LEASE_S,
            limited=self.limited,
            attempts=self.attempts,
            meters=self.meters,
        )

    def deliver(self, **fields: object) -> TaskId:
        """Queue a task and deliver its message."""
        attempt = an_attempt(**fields)
        self.runs.queue(attempt)
        self.inbox.put(a_due_delivery(attempt.task_id))
        return attempt.task_id

    def counted(self, name: str) -> dict[Labels, float]:
        """Answer what a meter shows, without what never happened."""
        (meter,) = (one for one in self.meters.all() if one.name == name)
        assert not isinstance(meter, Timing)
        return {labels: value for labels, value in meter.readings().items() if value}

    def settled(self, *task_ids: UUID) -> Callable[[], bool]:
        return lambda: {str(one) for one in task_ids} <= {d.message_id for d in self.inbox.acknowledged}

    def given_back(self, task_id: UUID) -> Callable[[], bool]:
        return lambda: str(task_id) in {delivery.message_id for delivery in self.inbox.given_back}


Make = Callable[..., Worker]


@pytest.fixture
async def make(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    monkeypatch.setattr(endings, "PROGRESS_EVERY_S", 0.01)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.001)
    made: list[Worker] = []

    def start(act: Act = echo, *, slots: int = 10, limited: tuple[str, ...] = ()) -> Worker:
        worker = Worker(act, slots=slots, limited=limited)
        worker.runner.start()
        made.append(worker)
        return worker

    yield start
    for worker in made:
        await worker.runner.stop(drain_s=0)
        assert worker.runner.failed() is None


class Gate:
    """A handler that waits until it is let go, and tells how it came out."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.go = asyncio.Event()
        self.cancelled = 0
        self.inside = 0
        self.most_inside = 0

    async def __call__(self, payload: Note, _context: Context) -> Echo:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        self.entered.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1
        return Echo(payload.text)


def a_foreign_delivery(task_id: UUID, text: str = "hi") -> Delivery:
    body = json.dumps({"kind": "note", "payload": {"text": text}}).encode()
    return a_delivery(body, message_id=str(task_id))


async def test_a_run_is_part_of_the_trace_that_its_task_came_with(make: Make) -> None:
    seen: dict[str, tuple[str | None, str | None]] = {}

    async def look(payload: Note, context: Context) -> Echo:
        seen[payload.text] = (context.traceparent, current_trace())
        return Echo(payload.text)

    worker = make(look)
    traced = worker.deliver(payload={"text": "traced"}, traceparent=TRACE)
    plain = worker.deliver(payload={"text": "plain"})
    await eventually(worker.settled(traced, plain))
    assert seen == {"traced": (TRACE, TRACE), "plain": (None, None)}


async def test_a_delivery_is_run_stored_and_then_acknowledged(make: Make) -> None:
    worker = make()
    task_id = worker.deliver(payload={"text": "hi"})
    await eventually(worker.settled(task_id))
    assert worker.runs.ended[task_id] == Succeeded(task_id, 1, '{"text":"hi"}')
    steps = [step for step in worker.log if step[0] != "renew"]
    assert steps == [("finish", str(task_id)), ("acknowledge", str(task_id))]
    assert worker.runner.running == 0


async def test_what_is_at_hand_is_claimed_at_once(make: Make) -> None:
    worker = make()
    ids = [worker.deliver() for _ in range(5)]
    await eventually(worker.settled(*ids))
    assert worker.runs.claims == [(ids, [])]


async def test_a_worker_takes_only_what_it_can_start(make: Make) -> None:
    """So innocent neighbours of a task that kills its worker lose no attempt."""
    gate = Gate()
    worker = make(gate, slots=3)
    ids = [worker.deliver()]
    await eventually(lambda: gate.inside == 1)
    ids += [worker.deliver() for _ in range(4)]
    await eventually(lambda: gate.inside == 3)
    assert worker.runs.claims == [(ids[:1], []), (ids[1:3], [])]
    gate.go.set()
    await eventually(worker.settled(*ids))
    assert gate.most_inside == 3


async def test_a_twin_in_one_batch_is_claimed_once_and_both_are_acknowledged(make: Make) -> None:
    worker = make()
    task_id = TaskId(uuid7())
    worker.runs.queue(an_attempt(task_id=task_id))
    worker.inbox.put(a_due_delivery(task_id), a_due_delivery(task_id))
    await eventually(lambda: len(worker.inbox.acknowledged) == 2)
    assert worker.runs.claims == [([task_id], [])]


async def test_a_delivery_that_claims_nothing_is_acknowledged(make: Make) -> None:
    """Its task has ended, or runs elsewhere."""
    worker = make()
    worker.inbox.put(a_due_delivery(task_id := uuid7()))
    await eventually(worker.settled(task_id))
    assert worker.runs.ended == {}


async def test_a_producers_order_is_born_and_run(make: Make) -> None:
    worker = make()
    task_id = TaskId(uuid7())
    worker.inbox.put(a_foreign_delivery(task_id, "from afar"))
    await eventually(worker.settled(task_id))
    assert worker.runs.claims == [([], [task_id])]
    assert worker.runs.ended[task_id] == Succeeded(task_id, 1, '{"text":"from afar"}')


async def test_what_cannot_be_read_is_refused_and_the_others_run(make: Make) -> None:
    worker = make()
    bad = [a_delivery(b"no json", message_id=str(uuid7())), a_foreign_delivery(uuid7(), text="")]
    worker.inbox.put(*bad)
    task_id = worker.deliver()
    await eventually(worker.settled(task_id))
    assert worker.inbox.refused == [(bad[0], "not_json"), (bad[1], "invalid_payload")]
    assert worker.inbox.acknowledged == [a_due_delivery(task_id)]


async def test_an_order_that_the_database_chokes_on_is_refused_alone(make: Make) -> None:
    worker = make()
    worker.runs.chokes_on = lambda one: isinstance(one, Task) and one.payload == {"text": "choke"}
    bad, good = a_foreign_delivery(uuid7(), "choke"), a_foreign_delivery(good_id := TaskId(uuid7()))
    worker.inbox.put(bad, good)
    row = worker.deliver()
    await eventually(worker.settled(good_id, row))
    assert worker.inbox.refused == [(bad, "invalid_message")]
    assert worker.runs.ended.keys() == {good_id, row}


async def test_a_long_task_is_acknowledged_at_its_claim(make: Make) -> None:
    """The lease is its durability: the broker's own timeout never matters."""
    gate = Gate()
    worker = make(gate)
    long, short = worker.deliver(timeout_s=61), worker.deliver(timeout_s=60)
    await eventually(worker.settled(long))
    assert gate.inside == 2
    assert worker.runner.running == 2
    assert not worker.settled(short)()
    gate.go.set()
    await eventually(worker.settled(short))
    await eventually(lambda: worker.runs.ended.keys() == {long, short})
    assert len(worker.inbox.acknowledged) == 2


async def test_what_was_held_back_starts_when_one_of_its_kind_ends(make: Make) -> None:
    gate = Gate()
    worker = make(gate, slots=1, limited=("note",))
    first = worker.deliver()
    await gate.entered.wait()
    waiting = [an_attempt(), an_attempt()]
    worker.runs.held_back += waiting
    gate.go.set()
    await eventually(lambda: worker.runs.ended.keys() == {first, *(attempt.task_id for attempt in waiting)})


async def test_a_delivery_that_is_held_back_is_acknowledged_and_looked_for_at_once(make: Make) -> None:
    """Its row waits, not its message."""
    worker = make(limited=("note",))
    attempt = an_attempt()
    worker.inbox.put(a_due_delivery(attempt.task_id))
    worker.runs.held_back.append(attempt)
    await eventually(lambda: attempt.task_id in worker.runs.ended)
    assert worker.settled(attempt.task_id)()


async def test_what_is_held_back_is_found_by_the_clock_too(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room may be made by another worker."""
    monkeypatch.setattr(module, "HELD_BACK_EVERY_S", 0.01)
    worker = make(limited=("note",))
    attempt = an_attempt()
    worker.runs.held_back.append(attempt)
    await eventually(lambda: attempt.task_id in worker.runs.ended)


async def test_leases_are_renewed_while_handlers_run(make: Make) -> None:
    gate = Gate()
    worker = make(gate)
    worker.deliver()
    worker.deliver()
    await eventually(lambda: worker.log.count(("renew", 2)) >= 2)


async def test_a_lost_lease_cancels_its_handler_and_stores_nothing(make: Make) -> None:
    """Cancelled by its requester, or put back by the reaper: the row knows."""
    gate = Gate()
    worker = make(gate)
    lost, kept = worker.deliver(), worker.deliver()
    await eventually(lambda: gate.inside == 2)
    worker.runs.lose(lost)
    await eventually(worker.settled(lost))
    assert (gate.cancelled, worker.runner.running) == (1, 1)
    gate.go.set()
    await eventually(worker.settled(kept))
    assert worker.runs.ended.keys() == {kept}


async def test_a_hint_stops_the_run_that_it_names(make: Make) -> None:
    """And no other run of the same task: it may run again before the hint arrives."""
    gate = Gate()
    worker = make(gate)
    worker.runner._lease_s = 60
    stopped, kept = worker.deliver(), worker.deliver()
    await eventually(lambda: gate.inside == 2)
    worker.feed.say(CANCELLED_CHANNEL, cancelled_message(kept, 7))
    worker.feed.say(CANCELLED_CHANNEL, cancelled_message(TaskId(uuid7()), 1))
    worker.feed.say(CANCELLED_CHANNEL, b"another version's words")
    worker.feed.say(CANCELLED_CHANNEL, cancelled_message(stopped, 1))
    await eventually(worker.settled(stopped))
    assert (gate.cancelled, worker.runner.running) == (1, 1)
    gate.go.set()
    await eventually(worker.settled(kept))
    assert worker.runs.ended.keys() == {kept}


async def test_a_refused_end_is_not_told_and_its_message_goes_back(make: Make) -> None:
    """The lease was lost between two renewals, or a crash of the database took the claim back: the next claim tells."""
    gate = Gate()
    worker = make(gate)
    worker.runner._lease_s = 60
    task_id = worker.deliver()
    await gate.entered.wait()
    worker.runs.lose(task_id)
    gate.go.set()
    await eventually(worker.given_back(task_id))
    assert worker.feed.published == []


async def test_a_shutdown_gives_back_what_still_runs(make: Make) -> None:
    """It has spent no attempt, and takes nothing more."""
    gate = Gate()
    worker = make(gate)
    task_id = worker.deliver()
    await gate.entered.wait()
    await worker.runner.stop(drain_s=0)
    assert worker.runs.given_back == {task_id: 1}
    assert (gate.cancelled, worker.runs.ended) == (1, {})
    assert worker.inbox.paused
    assert worker.settled(task_id)()


async def test_a_shutdown_waits_for_what_ends_in_time(make: Make) -> None:
    gate = Gate()
    worker = make(gate)
    task_id = worker.deliver()
    await gate.entered.wait()
    stopping = asyncio.create_task(worker.runner.stop(drain_s=30))
    await eventually(lambda: worker.inbox.paused)
    gate.go.set()
    await stopping
    assert worker.runs.ended.keys() == {task_id}
    assert worker.runs.given_back == {}
    assert worker.settled(task_id)()


async def test_progress_is_stored_under_the_fence_and_hinted_at(make: Make) -> None:
    gate = Gate()

    async def act(payload: Note, context: Context) -> Echo:
        await context.progress(1, 3, "first")
        await context.progress(2, 3, "x" * 500)
        return await gate(payload, context)

    worker = make(act)
    task_id = worker.deliver()
    await eventually(lambda: worker.runs.reported)
    assert worker.runs.reported == [(task_id, 1, Progress(2, 3, "x" * 200))]
    await eventually(lambda: worker.feed.published == [(MOVED_CHANNEL, task_id.bytes)])


async def test_progress_that_cannot_be_stored_fails_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, tried = Gate(), asyncio.Event()

    async def away(*_: object) -> None:
        tried.set()
        raise DatabaseAway

    async def act(payload: Note, context: Context) -> Echo:
        await context.progress(1, 3)
        return await gate(payload, context)

    worker = make(act)
    monkeypatch.setattr(FakeRuns, "report", away)
    task_id = worker.deliver()
    await tried.wait()
    gate.go.set()
    await eventually(worker.settled(task_id))
    assert task_id in worker.runs.ended


async def publish(payload: Note, context: Context) -> Echo:
    (await context.work()).publish(HAPPENED)
    return Echo(payload.text)


async def test_a_handlers_work_and_its_result_are_one_commit(make: Make) -> None:
    worker = make(publish)
    task_id = worker.deliver()
    await eventually(worker.settled(task_id))
    assert worker.runs.committed == [HAPPENED]
    assert isinstance(worker.runs.ended[task_id], Succeeded)
    assert [channel for channel, _ in worker.feed.published] == [ENDED_CHANNEL]


async def test_a_handler_gets_one_work(make: Make) -> None:
    works: list[object] = []

    async def act(payload: Note, context: Context) -> Echo:
        works.extend([await context.work(), await context.work()])
        return Echo(payload.text)

    worker = make(act)
    await eventually(worker.settled(worker.deliver()))
    assert works[0] is works[1]


async def test_a_handler_that_fails_takes_its_work_with_it(make: Make) -> None:
    async def act(payload: Note, context: Context) -> Echo:
        await publish(payload, context)
        raise Fail("no", "No.")

    worker = make(act)
    task_id = worker.deliver()
    await eventually(worker.settled(task_id))
    assert worker.runs.committed == []
    assert isinstance(worker.runs.ended[task_id], Failed)


async def test_a_lease_lost_before_the_commit_takes_the_work_with_it(make: Make) -> None:
    worker: Worker

    async def act(payload: Note, context: Context) -> Echo:
        worker.runs.lose(context.task_id)
        return await publish(payload, context)

    worker = make(act)
    worker.runner._lease_s = 60
    task_id = worker.deliver()
    await eventually(worker.given_back(task_id))
    assert (worker.runs.committed, worker.runs.ended) == ([], {})


async def test_a_commit_that_fails_is_tried_again(make: Make) -> None:
    worker: Worker

    async def act(payload: Note, context: Context) -> Echo:
        worker.runs.failures.append(DatabaseAway())
        return await publish(payload, context)

    worker = make(act)
    task_id = worker.deliver()
    await eventually(worker.settled(task_id))
    ending = worker.runs.ended[task_id]
    assert isinstance(ending, Postponed)
    assert ending.error.code == "commit_failed"
    assert worker.runs.committed == []


async def test_a_handler_that_cancels_itself_is_tried_again(make: Make) -> None:
    async def act(_payload: Note, _context: Context) -> Echo:
        raise asyncio.CancelledError

    worker = make(act)
    task_id = worker.deliver()
    await eventually(worker.settled(task_id))
    ending = worker.runs.ended[task_id]
    assert isinstance(ending, Postponed)
    assert ending.error.code == "handler_error"


async def test_an_end_that_cannot_be_stored_fails_its_task_alone(make: Make) -> None:
    gate = Gate()
    worker = make(gate)
    worker.runs.chokes_on = lambda one: isinstance(one, Succeeded) and "choke" in one.result
    good, bad = worker.deliver(), worker.deliver(payload={"text": "choke"})
    await eventually(lambda: gate.inside == 2)
    gate.go.set()
    await eventually(worker.settled(good, bad))
    assert isinstance(worker.runs.ended[good], Succeeded)
    ending = worker.runs.ended[bad]
    assert isinstance(ending, Failed)
    assert ending.error.code == "invalid_result"


@pytest.mark.parametrize("failure", [DatabaseAway(), Contended("deadlock")])
async def test_nothing_is_dropped_while_the_database_is_away(make: Make, failure: Exception) -> None:
    worker = make()
    worker.runs.failures = [failure, failure, failure]
    task_id = worker.deliver()
    await eventually(worker.settled(task_id))
    assert len(worker.runs.claims) == 4
    worker.runs.failures = [failure, failure]
    task_id = worker.deliver()
    await eventually(worker.settled(task_id))
    assert isinstance(worker.runs.ended[task_id], Succeeded)


async def test_ends_are_told_on_the_feed_and_retries_are_not(make: Make) -> None:
    async def act(payload: Note, _context: Context) -> Echo:
        if payload.text == "again":
            raise RuntimeError
        return Echo(payload.text)

    worker = make(act)
    over, again = worker.deliver(), worker.deliver(payload={"text": "again"})
    await eventually(worker.settled(over, again))
    assert worker.feed.published == [(ENDED_CHANNEL, over.bytes)]


async def test_a_loop_that_breaks_is_a_failed_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends then, and its supervisor starts a new one."""

    async def broken(_inbox: FakeInbox, _limit: int) -> list[Delivery]:
        raise ZeroDivisionError  # a mistake of ours, not an outage

    monkeypatch.setattr(FakeInbox, "take", broken)
    worker = Worker()
    worker.runner.start()
    await eventually(lambda: isinstance(worker.runner.failed(), ZeroDivisionError))
    await worker.runner.stop(drain_s=0)


async def test_a_task_claimed_again_ends_the_older_run_and_settles_both(make: Make) -> None:
    """A worker that froze past its lease may be dealt its own task again."""
    gate = Gate()
    worker = make(gate)
    task_id = worker.deliver()
    await gate.entered.wait()
    worker.runs.queue(an_attempt(task_id=task_id, attempt=2, fence=2))
    worker.inbox.put(a_due_delivery(task_id))
    await eventually(lambda: gate.cancelled == 1)
    gate.go.set()
    await eventually(lambda: len(worker.inbox.acknowledged) == 2)
    assert worker.runs.ended[task_id].fence == 2


async def test_attempts_are_counted_by_kind_and_outcome(make: Make) -> None:
    async def fail(_payload: Note, _context: Context) -> Echo:
        raise Fail("no", "No.")

    for act, outcome in ((echo, "succeeded"), (fail, "failed")):
        worker = make(act)
        task_id = worker.deliver()
        await eventually(worker.settled(task_id))
        assert worker.counted("parlor_task_attempts_total") == {("note", outcome): 1}
        assert worker.counted("parlor_task_deliveries_total") == {("default",): 1}


async def test_a_lost_run_is_counted_as_stopped(make: Make) -> None:
    gate = Gate()
    worker = make(gate)
    task_id = worker.deliver()
    await gate.entered.wait()
    assert worker.counted("parlor_task_runs") == {ONE: 1}
    worker.runs.lose(task_id)
    await eventually(lambda: worker.counted("parlor_task_attempts_total"))
    assert worker.counted("parlor_task_attempts_total") == {("note", "stopped"): 1}
    assert worker.counted("parlor_task_runs_let_go_total") == {("not_renewed",): 1}
    assert worker.counted("parlor_task_runs") == {}


async def test_an_end_that_came_too_late_is_counted(make: Make) -> None:
    gate = Gate()
    worker = make(gate)
    task_id = worker.deliver()
    await gate.entered.wait()
    worker.runs.lose(task_id)
    gate.go.set()
    await eventually(lambda: worker.counted("parlor_task_ends_refused_total"))
    assert worker.counted("parlor_task_attempts_total") == {("note", "succeeded"): 1}


async def test_a_message_that_cannot_be_taken_is_counted_by_its_reason(make: Make) -> None:
    worker = make()
    worker.inbox.put(a_delivery(body=b"{"))
    await eventually(lambda: worker.counted("parlor_task_deliveries_refused_total"))
    assert worker.counted("parlor_task_deliveries_refused_total") == {("not_json",): 1}
