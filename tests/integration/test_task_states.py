"""Any sequence of claims, losses, ends and recoveries: a task ends once, and never gets stuck."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from parlor.adapters.sql.engine import Database
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.model import Ending, Failed, Postponed, Succeeded, Task, TaskError
from tests.builders import a_task
from tests.sql import Sql

MOST_LOSSES = 5
ERROR = TaskError("broken", "It broke.", retryable=True)
ENDED = {"succeeded", "failed"}
Step = tuple[str, int, int]


@dataclass(slots=True)
class Expected:
    """What the rules say about one task; `fences` are of all claims there ever were."""

    task: Task
    status: str = "queued"
    attempts: int = 0
    losses: int = 0
    lease_lost: bool = False
    fences: list[int] = field(default_factory=list)

    def holds(self, fence: int) -> bool:
        return self.status == "running" and fence == self.fences[-1]


@dataclass(slots=True)
class Machine:
    """Does each step to the database and to what is expected of it, and compares."""

    sql: Sql
    tasks: list[Expected]
    broker: set[TaskId] = field(default_factory=set)

    async def do(self, step: Step) -> None:
        name, which, detail = step
        task = self.tasks[which % len(self.tasks)]
        match name:
            case "relay":
                self.broker |= set(await self.sql.outbox())
                await self.sql.clear_outbox()
            case "deliver":
                if task.task.id in self.broker:
                    self.broker.discard(task.task.id)
                    await self.claim(task)
            case "redeliver":
                await self.claim(task)
            case "deliver again from a producer":
                await self.claim(task, foreign=True)
            case "lose":
                await self.sql.lose_leases(task.task.id)
                task.lease_lost = task.status == "running"
            case "reap":
                await self.reap()
            case "release":
                await self.release()
            case _ if task.fences:
                await self.say(name, task, task.fences[-1 - detail % len(task.fences)])
        await self.compare()

    async def claim(self, task: Expected, *, foreign: bool = False) -> None:
        known, born = ([], [a_task(id=task.task.id)]) if foreign else ([task.task.id], [])
        attempts = await self.sql.runs.claim(known, born)
        assert len(attempts) == (task.status == "queued")
        for attempt in attempts:
            task.status, task.attempts, task.lease_lost = "running", task.attempts + 1, False
            assert attempt.attempt == task.attempts
            assert attempt.fence > max(task.fences, default=0)
            task.fences.append(attempt.fence)

    async def say(self, name: str, task: Expected, fence: int) -> None:
        """Let a worker speak up, with the fence of its claim: the present one, or any earlier."""
        holds, task_id, runs = task.holds(fence), task.task.id, self.sql.runs
        if name == "renew":
            assert await runs.renew({task_id: fence}) == ({task_id} if holds else set())
            task.lease_lost = task.lease_lost and not holds
        elif name == "give back":
            await runs.give_back({task_id: fence})
            if holds:
                task.status, task.attempts = "queued", task.attempts - 1
        else:
            assert await runs.finish([_ending(name, task_id, fence)]) == ({task_id} if holds else set())
            if holds:
                task.status, task.losses = (
                    {"succeed": "succeeded", "fail": "failed"}.get(name, "scheduled"),
                    0,
                )

    async def reap(self) -> None:
        await self.sql.upkeep.reap(frozenset())
        for task in self.tasks:
            if task.status == "running" and task.lease_lost:
                task.losses += 1
                hopeless = task.attempts >= task.task.max_attempts or task.losses >= MOST_LOSSES
                task.status = "failed" if hopeless else "queued"

    async def release(self) -> None:
        await self.sql.upkeep.release_due()
        for task in self.tasks:
            if task.status == "scheduled":
                task.status = "queued"

    async def compare(self) -> None:
        rows = {row["id"]: row for row in await self.sql.rows("select * from tasks")}
        waiting = await self.sql.outbox()
        facts = [fact["subject"] for fact in await self.sql.facts()]
        assert len(waiting) == len(set(waiting))
        for task in self.tasks:
            assert task.status != "queued" or task.task.id in {*waiting, *self.broker}
            row = rows[task.task.id]
            said = (row["status"], row["attempts"], row["losses"])
            assert said == (task.status, task.attempts, task.losses)
            assert facts.count(task.task.id) == (task.status in ENDED)
            assert (row["lease_until"] is None) == (task.status != "running")
            assert (row["finished_at"] is None) == (task.status not in ENDED)

    async def bring_to_an_end(self) -> None:
        """From wherever it is, the usual rounds of timers, relay and worker end every task."""
        while not {task.status for task in self.tasks} <= ENDED:
            await self.do(("release", 0, 0))
            await self.do(("relay", 0, 0))
            for which in range(len(self.tasks)):
                await self.do(("deliver", which, 0))
                await self.do(("lose", which, 0))
            await self.do(("reap", 0, 0))


def _ending(name: str, task_id: TaskId, fence: int) -> Ending:
    match name:
        case "succeed":
            return Succeeded(task_id, fence, "{}")
        case "fail":
            return Failed(task_id, fence, ERROR)
        case _:
            return Postponed(task_id, fence, ERROR, timedelta(0))


STEPS = (
    "relay",
    "deliver",
    "redeliver",
    "deliver again from a producer",
    "lose",
    "reap",
    "release",
    "renew",
    "give back",
    "succeed",
    "fail",
    "postpone",
)
A_STEP = st.tuples(st.sampled_from(STEPS), st.integers(0, 1), st.integers(0, 2))


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(most_attempts=st.lists(st.integers(1, 7), min_size=2, max_size=2), steps=st.lists(A_STEP, max_size=40))
async def test_a_task_ends_once_and_never_gets_stuck(
    database: Database, most_attempts: Sequence[int], steps: Sequence[Step]
) -> None:
    """The row is what the rules say after every step; what a passed fence says is refused."""
    sql = Sql(database)
    await sql.execute("truncate tasks, task_outbox, event_outbox")
    tasks = [a_task(max_attempts=most) for most in most_attempts]
    await sql.enqueue(*tasks)
    machine = Machine(sql, [Expected(task) for task in tasks])
    for step in steps:
        await machine.do(step)
    await machine.bring_to_an_end()


@pytest.mark.parametrize("most_attempts", [1, 3, 100])
async def test_a_task_that_always_takes_its_worker_down_ends(database: Database, most_attempts: int) -> None:
    sql = Sql(database)
    tasks = [a_task(max_attempts=most_attempts)]
    await sql.enqueue(*tasks)
    machine = Machine(sql, [Expected(task) for task in tasks])
    await machine.bring_to_an_end()
    assert (await sql.task(tasks[0].id))["attempts"] == min(most_attempts, MOST_LOSSES)
