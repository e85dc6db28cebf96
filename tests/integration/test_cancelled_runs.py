"""Cancel and retry on PostgreSQL, where workers, timers and relays do their part at the same time."""

import asyncio
from contextlib import suppress

import pytest

from parlor.adapters.sql.engine import Database
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.model import Attempt, Succeeded, Task, TaskEnded
from tests.builders import a_task
from tests.sql import Sql


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


async def cancelled(sql: Sql, task_id: TaskId) -> Task:
    async with sql.work() as work:
        task = await work.tasks.get(task_id)
        task.cancel()
        await work.tasks.save(task)
    return task


async def retried(sql: Sql, task_id: TaskId) -> None:
    async with sql.work() as work:
        task = await work.tasks.get(task_id)
        task.retry()
        await work.tasks.save(task)


async def running(sql: Sql) -> Attempt:
    (task_id,) = await sql.enqueue(a_task())
    (attempt,) = await sql.runs.claim([task_id], [])
    return attempt


async def test_a_cancelled_task_is_never_claimed(sql: Sql) -> None:
    """Its message may already be with the broker."""
    (task_id,) = await sql.enqueue(a_task())
    await cancelled(sql, task_id)
    assert await sql.runs.claim([task_id], []) == []


async def test_the_end_of_a_cancelled_run_is_refused_and_so_is_its_lease(sql: Sql) -> None:
    attempt = await running(sql)
    await cancelled(sql, attempt.task_id)
    assert await sql.runs.renew({attempt.task_id: attempt.fence}) == set()
    assert await sql.runs.finish([Succeeded(attempt.task_id, attempt.fence, "{}")]) == set()
    row = await sql.task(attempt.task_id)
    assert (row["status"], row["result"], row["lease_until"]) == ("cancelled", None, None)


async def test_the_old_run_cannot_end_the_new_one(sql: Sql) -> None:
    """The fence goes on from run to run."""
    old = await running(sql)
    await cancelled(sql, old.task_id)
    await retried(sql, old.task_id)
    (new,) = await sql.runs.claim([old.task_id], [])
    assert (new.attempt, new.fence) == (1, old.fence + 1)
    assert await sql.runs.finish([Succeeded(old.task_id, old.fence, "{}")]) == set()
    assert await sql.runs.finish([Succeeded(new.task_id, new.fence, "{}")]) == {new.task_id}


async def test_a_retried_task_is_due_once(sql: Sql) -> None:
    """Its first message may still stand in the outbox."""
    (task_id,) = await sql.enqueue(a_task())
    await cancelled(sql, task_id)
    await retried(sql, task_id)
    assert await sql.outbox() == [task_id]
    await sql.clear_outbox()
    await cancelled(sql, task_id)
    hints = sql.hints.tasks
    await retried(sql, task_id)
    assert await sql.outbox() == [task_id]
    assert sql.hints.tasks == hints + 1


async def test_the_losses_of_the_old_run_do_not_count(sql: Sql) -> None:
    attempt = await running(sql)
    for _ in range(4):
        await sql.lose_leases(attempt.task_id)
        await sql.upkeep.reap(frozenset())
        await sql.runs.claim([attempt.task_id], [])
    await cancelled(sql, attempt.task_id)
    await retried(sql, attempt.task_id)
    await sql.runs.claim([attempt.task_id], [])
    await sql.lose_leases(attempt.task_id)
    assert (await sql.upkeep.reap(frozenset())).put_back == 1


async def test_every_end_is_told_in_the_order_of_the_tasks_own_versions(sql: Sql) -> None:
    attempt = await running(sql)
    task = await cancelled(sql, attempt.task_id)
    assert sql.hints.facts == 1
    await retried(sql, attempt.task_id)
    (again,) = await sql.runs.claim([attempt.task_id], [])
    await sql.runs.finish([Succeeded(again.task_id, again.fence, "{}")])
    facts = await sql.facts()
    assert [fact["name"] for fact in facts] == ["tasks.task_cancelled", "tasks.task_succeeded"]
    assert [fact["sequence"] for fact in facts] == [task.version, task.version + 3]
    assert facts[0]["body"] == {"task_id": str(task.id), "kind": "note"}


async def test_of_cancels_claims_and_ends_at_once_one_ends_the_run(sql: Sql) -> None:
    """Whatever wins, the task has one end, and it is told once."""
    ids = await sql.enqueue(*(a_task() for _ in range(40)))

    async def work_on(task_id: TaskId) -> None:
        for attempt in await sql.runs.claim([task_id], []):
            await sql.runs.finish([Succeeded(task_id, attempt.fence, "{}")])

    async def stop(task_id: TaskId) -> None:
        with suppress(TaskEnded):
            await cancelled(sql, task_id)

    await asyncio.gather(*(do(task_id) for task_id in ids for do in (work_on, stop)))
    statuses = await sql.statuses()
    assert set(statuses.values()) <= {"succeeded", "cancelled"}
    told = {fact["subject"]: fact["name"] for fact in await sql.facts()}
    assert told == {task_id: f"tasks.task_{status}" for task_id, status in statuses.items()}
    assert len(await sql.facts()) == len(ids)
