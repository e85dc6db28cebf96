"""Any sequence of what producers, relays, workers, timers and people do: a run ends once, and no task is ever stuck."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
    run_state_machine_as_test,
)

from parlor.adapters.sql.engine import Database
from parlor.core.shared.errors import Conflict
from parlor.core.tasks.model import (
    Attempt,
    Priority,
    Progress,
    Task,
    TaskNotFailed,
    UniqueKeyTaken,
)
from tests.builders import a_task
from tests.faults.score import rounds
from tests.properties.expected import MOST_LOSSES, Expected
from tests.properties.stage import ALL_IDLE, BECOME_DUE, LIMITS, Stage, a_new, an_ending
from tests.sql import Sql

SETTINGS = settings(
    max_examples=25 * rounds(4),
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
NOBODY_IDLE = frozenset[str]()
WHICH = st.integers(0, 1_000)  # of what there is by then, counted around
HOW = st.sampled_from(["succeeded", "failed", "again at once", "again later"])
KEY = st.sampled_from(["one key", "another"])
ATTEMPTS = st.integers(1, 7)
PRIORITY = st.sampled_from(list(Priority))
KIND = st.sampled_from(["note", "scarce"])


class LeaseLost(Exception):
    """What a handler's own transaction is rolled back with."""


class TaskMachine(Stage):
    """Does every step to the database, and to what is expected of it."""

    # Producers

    @rule(attempts=ATTEMPTS, priority=PRIORITY, kind=KIND, ahead=st.booleans())
    def enqueue(self, attempts: int, priority: Priority, kind: str, ahead: bool) -> None:
        task = a_new(ahead=ahead, max_attempts=attempts, priority=priority, kind=kind)
        self.does(self.sql.enqueue(task))
        self.tasks[task.id] = Expected.of(task, ahead=ahead)

    @rule(keys=st.lists(KEY, min_size=1, max_size=3), attempts=ATTEMPTS)
    def enqueue_unless_live(self, keys: Sequence[str], attempts: int) -> None:
        tasks = [a_task(unique_key=key, max_attempts=attempts) for key in keys]
        living = self.does(self._add_unless_live(tasks))
        for task, one in zip(tasks, living, strict=True):
            twin = next(
                (each for each in self.tasks.values() if each.is_live and each.unique_key == task.unique_key),
                None,
            )
            assert one.id == (twin.id if twin else task.id)
            if twin is None:
                self.tasks[task.id] = Expected.of(task)

    async def _add_unless_live(self, tasks: Sequence[Task]) -> Sequence[Task]:
        async with self.sql.work() as work:
            return await work.tasks.add_unless_live(tasks)

    @rule(attempts=ATTEMPTS, kind=KIND, ahead=st.booleans())
    def be_born_of_a_message(self, attempts: int, kind: str, ahead: bool) -> None:
        task = a_new(ahead=ahead, max_attempts=attempts, kind=kind)
        self.tasks[task.id] = Expected.of(task, ahead=ahead)
        self.take([], [task])

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH, ahead=st.booleans())
    def be_asked_for_again_by_its_producer(self, which: int, ahead: bool) -> None:
        same = self.task(which)
        self.take([], [a_new(ahead=ahead, id=same.id, kind=same.kind)])

    # The relay and the broker

    @rule(commits=st.booleans())
    def relay(self, commits: bool) -> None:
        """Without a commit: the broker has it all, and so has the outbox still."""
        sent = self.does(self.sql.outbox())
        self.broker.update(sent)
        self.lost -= set(sent)
        if commits:
            self.does(self.sql.clear_outbox())

    @precondition(lambda self: +self.broker)
    @rule(most=st.integers(1, 4), again=st.booleans())
    def deliver(self, most: int, again: bool) -> None:
        """With `again` they come once more later: the acknowledgement was lost."""
        at_hand = list(+self.broker)[:most]
        self.take(at_hand, [])
        if not again:
            self.broker.subtract(at_hand)

    @precondition(lambda self: +self.broker)
    @rule(which=WHICH)
    def forget_a_message(self, which: int) -> None:
        forgotten = list(+self.broker)[which % len(+self.broker)]
        del self.broker[forgotten]
        self.lost.add(forgotten)

    @rule(most=st.integers(1, 4))
    def take_what_was_held_back(self, most: int) -> None:
        held_back = [task for task in self.tasks.values() if task.is_held_back]
        running = [task for task in self.tasks.values() if task.kind in LIMITS and task.status == "running"]
        attempts = self.does(self.sql.runs.claim_held_back(most))
        assert {attempt.task_id for attempt in attempts} <= {task.id for task in held_back}
        assert len(attempts) == min(most, len(held_back), LIMITS["scarce"] - len(running))
        self.begin(attempts)

    # Workers, of which none knows whether its lease is over

    @precondition(lambda self: self.claims)
    @rule(which=st.lists(WHICH, min_size=1, max_size=4))
    def renew(self, which: Sequence[int]) -> None:
        held = {claim.task_id: claim.fence for claim in map(self.claim, which)}
        ours = {task_id for task_id, fence in held.items() if self.tasks[task_id].holds(fence)}
        assert self.does(self.sql.runs.renew(held)) == ours
        for task_id in ours:
            self.tasks[task_id].lease_is_over = False

    @precondition(lambda self: self.claims)
    @rule(which=WHICH)
    def report(self, which: int) -> None:
        claim = self.claim(which)
        before = self.does(self.sql.task(claim.task_id))
        self.does(self.sql.runs.report({claim.task_id: (claim.fence, Progress(before["version"], 1))}))
        after = self.does(self.sql.task(claim.task_id))
        assert (before != after) == self.tasks[claim.task_id].holds(claim.fence)

    @precondition(lambda self: self.claims)
    @rule(ends=st.lists(st.tuples(WHICH, HOW), min_size=1, max_size=4))
    def finish(self, ends: Sequence[tuple[int, str]]) -> None:
        said = {
            claim.task_id: (claim, how) for claim, how in ((self.claim(which), how) for which, how in ends)
        }
        accepted = self.does(self.sql.runs.finish([an_ending(*one) for one in said.values()]))
        assert accepted == {claim.task_id for claim, _ in said.values() if self.holds(claim)}
        for claim, how in said.values():
            if claim.task_id in accepted:
                self.end(claim, how)

    @precondition(lambda self: self.claims)
    @rule(which=WHICH)
    def finish_in_a_transaction_of_its_own(self, which: int) -> None:
        claim = self.claim(which)
        try:
            self.does(self._finish_alone(claim))
        except LeaseLost:
            assert not self.holds(claim)
        else:
            assert self.holds(claim)
            self.end(claim, "succeeded")

    async def _finish_alone(self, claim: Attempt) -> None:
        async with self.sql.runs.alone() as work:
            if not await work.finish(an_ending(claim, "succeeded")):
                raise LeaseLost

    def holds(self, claim: Attempt) -> bool:
        return self.tasks[claim.task_id].holds(claim.fence)

    def end(self, claim: Attempt, how: str) -> None:
        task = self.tasks[claim.task_id]
        if how.startswith("again"):
            task.postponed(is_due=how == "again at once")
        else:
            task.losses = 0
            task.ended(how)

    @precondition(lambda self: self.claims)
    @rule(which=WHICH)
    def give_back(self, which: int) -> None:
        claim = self.claim(which)
        if self.holds(claim):
            task = self.tasks[claim.task_id]
            task.status, task.attempts = "queued", task.attempts - 1
        self.does(self.sql.runs.give_back({claim.task_id: claim.fence}))

    # Time, and the timers

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH)
    def be_silent_past_the_lease(self, which: int) -> None:
        task = self.task(which)
        task.lease_is_over = task.status == "running"
        self.does(self.sql.lose_leases(task.id))

    @precondition(lambda self: self.claims)
    @rule(which=WHICH, says=st.sampled_from(["renew", "report", "finish", "give back"]))
    def speak_when_another_has_it(self, which: int, says: str) -> None:
        """A worker falls silent, another claims its task, and the first one goes on as if nothing had happened."""
        claim = which % len(self.claims)
        self.be_silent_past_the_lease(list(self.tasks).index(self.claim(claim).task_id))
        self.reap(idle=False)
        self.relay(commits=True)
        if +self.broker:
            self.deliver(len(self.broker), again=False)
        match says:
            case "renew":
                self.renew([claim])
            case "report":
                self.report(claim)
            case "finish":
                self.finish([(claim, "succeeded")])
            case _:
                self.give_back(claim)

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH)
    def become_due(self, which: int) -> None:
        task = self.task(which)
        task.is_due |= task.status == "scheduled"
        self.does(self.sql.execute(BECOME_DUE, [task.id]))
        task.seen = self.does(self.sql.task(task.id))

    @rule()
    def release(self) -> None:
        due = [task for task in self.tasks.values() if task.status == "scheduled" and task.is_due]
        for task in due:
            task.status = "queued"
        assert self.does(self.sql.upkeep.release_due()) == len(due)

    @rule(idle=st.booleans())
    def reap(self, idle: bool) -> None:
        over = [task for task in self.tasks.values() if task.status == "running" and task.lease_is_over]
        for task in over:
            task.reaped()
        reaped = self.does(self.sql.upkeep.reap(ALL_IDLE if idle else NOBODY_IDLE, unclaimed_s=0))
        assert reaped.put_back + reaped.given_up == len(over)
        assert idle or not reaped.republished

    # People

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        task = self.task(which)
        if self.does(self._changed(task, "cancel")) is None:
            task.ended("cancelled")
        else:
            assert not task.is_live

    @precondition(lambda self: self.tasks)
    @rule(which=WHICH)
    def retry(self, which: int) -> None:
        task = self.task(which)
        refused = self.does(self._changed(task, "retry"))
        twins = [
            each for each in self.tasks.values() if each is not task and each.is_live and each.unique_key
        ]
        if task.status not in {"failed", "cancelled"}:
            assert isinstance(refused, TaskNotFailed)
        elif task.unique_key in {each.unique_key for each in twins}:
            assert isinstance(refused, UniqueKeyTaken)
        else:
            assert refused is None
            task.begun_again()

    async def _changed(self, task: Expected, what: str) -> Conflict | None:
        try:
            async with self.sql.work() as work:
                found = await work.tasks.get(task.id)
                found.cancel() if what == "cancel" else found.retry()
                await work.tasks.save(found)
        except Conflict as refused:
            return refused
        return None


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Lend a loop that outlives every step."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def sql(database_url: str, runner: asyncio.Runner) -> Iterator[Sql]:
    database = Database(database_url, size=2, name="tests")
    runner.run(database.open())
    yield Sql(database, limits=LIMITS)
    runner.run(database.close())


def test_a_run_ends_once_and_no_task_is_ever_stuck(sql: Sql, runner: asyncio.Runner) -> None:
    made: Any = partial(TaskMachine, sql, runner)
    run_state_machine_as_test(made, settings=SETTINGS)


@pytest.mark.parametrize("most", [1, 3, 100])
def test_a_task_that_always_takes_its_worker_down_ends(sql: Sql, runner: asyncio.Runner, most: int) -> None:
    machine = TaskMachine(sql, runner)
    machine.enqueue(most, Priority.DEFAULT, "note", ahead=False)
    for _ in range(MOST_LOSSES):
        machine.relay(commits=True)
        if +machine.broker:
            machine.deliver(1, again=False)
        machine.be_silent_past_the_lease(0)
        machine.reap(idle=False)
        machine.every_row_is_what_the_rules_say()
    task = machine.task(0)
    assert (task.status, task.attempts) == ("failed", min(most, MOST_LOSSES))
