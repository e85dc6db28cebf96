"""Claims, leases and ends of runs on PostgreSQL, where many workers do all of it at once."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import orjson
import pytest

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.runs import _CLAIM, _CLAIM_AND_BIRTH
from parlor.adapters.sql.tasks import written
from parlor.core.shared.errors import Contended
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.tasks.model import (
    Attempt,
    Ending,
    Failed,
    Postponed,
    Priority,
    Progress,
    Succeeded,
    Task,
    TaskError,
)
from parlor.core.tasks.ports import Reaped
from parlor.entrypoints.consume_worker.context import LeaseLost
from tests.builders import a_requester, a_task, a_user, an_actor
from tests.sql import Sql
from tests.waiting import eventually

ALL_IDLE = frozenset(Priority)
NOBODY_IDLE: frozenset[str] = frozenset()
NOTHING = Reaped(put_back=0, given_up=0, republished=0)
ERROR = TaskError("http_status", "The answer was 503.", retryable=True)
SOON, LATER = timedelta(0), timedelta(hours=1)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


async def waits_for_the_disk(sql: Sql, *tasks: Task, births: int = 0) -> bool:
    """Claim them, the last ones as births, and answer what the commit of the claim would do."""
    known = await sql.enqueue(*tasks[: len(tasks) - births])
    born = list(tasks[len(tasks) - births :])
    async with sql.database.session() as session, session.transaction():
        if born:
            await session.fetch(_CLAIM_AND_BIRTH, written(born), 60.0, [*known, *(t.id for t in born)], [])
        else:
            await session.fetch(_CLAIM, known, 60.0)
        waits: str = await session.fetchval("show synchronous_commit")
        return waits == "on"


async def test_a_claim_waits_for_the_disk_only_where_a_crash_would_cost_something(sql: Sql) -> None:
    """Namely the only attempt, or a message that is not there any more (ADR 10)."""
    once, long, later = {"max_attempts": 1}, {"timeout_s": 61}, {"run_at": datetime(2100, 1, 1, tzinfo=UTC)}
    assert not await waits_for_the_disk(sql, a_task(), a_task(timeout_s=60))
    assert await waits_for_the_disk(sql, a_task(), a_task(**once))
    assert await waits_for_the_disk(sql, a_task(), a_task(**long))
    assert not await waits_for_the_disk(sql, a_task(), a_task(), births=1)
    for more in (once, long, later):
        assert await waits_for_the_disk(sql, a_task(), a_task(**more), births=1)


async def running(sql: Sql, **fields: object) -> Attempt:
    """Enqueue a task and claim it."""
    (task_id,) = await sql.enqueue(a_task(**fields))
    (attempt,) = await sql.runs.claim([task_id], [])
    return attempt


def succeeded(attempt: Attempt, result: str = '{"text": "done"}') -> Succeeded:
    return Succeeded(attempt.task_id, attempt.fence, result)


def failed(attempt: Attempt) -> Failed:
    return Failed(attempt.task_id, attempt.fence, ERROR)


def postponed(attempt: Attempt, delay: timedelta = LATER) -> Postponed:
    return Postponed(attempt.task_id, attempt.fence, ERROR, delay)


# Claims


async def test_a_claim_starts_what_is_queued(sql: Sql) -> None:
    """It counts the attempt, raises the fence, starts the lease, and carries the secrets."""
    task = a_task(payload={"text": "hi"}, secrets={"password": "s"}, timeout_s=7, priority=Priority.HIGH)
    await sql.enqueue(task)
    (attempt,) = await sql.runs.claim([task.id], [])
    assert attempt == Attempt(
        task_id=task.id,
        kind="note",
        payload={"text": "hi", "password": "s"},
        attempt=1,
        max_attempts=5,
        timeout_s=7,
        fence=1,
        priority=Priority.HIGH,
        requested_by=task.requested_by,
    )
    row = await sql.task(task.id)
    assert (row["status"], row["attempts"], row["fence"], row["queued_at"]) == ("running", 1, 1, None)
    assert row["lease_until"] - row["started_at"] == pytest.approx(
        timedelta(seconds=60), abs=timedelta(seconds=5)
    )


async def test_a_second_delivery_claims_nothing(sql: Sql) -> None:
    attempt = await running(sql)
    assert await sql.runs.claim([attempt.task_id], []) == []
    assert (await sql.task(attempt.task_id))["attempts"] == 1


async def test_a_claim_answers_nothing_for_what_is_not_queued(sql: Sql) -> None:
    scheduled = a_task(run_at=datetime.now(UTC) + LATER)
    await sql.enqueue(scheduled)
    ended = await running(sql)
    await sql.runs.finish([succeeded(ended)])
    assert await sql.runs.claim([scheduled.id, ended.task_id, TaskId(uuid7())], []) == []


async def test_workers_that_claim_the_same_tasks_at_once_get_each_once(sql: Sql) -> None:
    ids = await sql.enqueue(*(a_task() for _ in range(50)))
    batches = [random.sample(ids, len(ids)) for _ in range(5)]
    async with sql.database.session() as session, session.transaction():
        await session.execute("select from tasks for update")
        claims = [asyncio.create_task(sql.runs.claim(batch, [])) for batch in batches]
        await eventually(sql.all_wait(5))
    claimed = await asyncio.gather(*claims)
    counts = Counter(attempt.task_id for attempts in claimed for attempt in attempts)
    assert counts == Counter(ids)


async def test_every_claim_has_a_higher_fence(sql: Sql) -> None:
    attempt = await running(sql)
    for fence in (2, 3):
        await sql.runs.finish([postponed(attempt, SOON)])
        await sql.upkeep.release_due()
        (attempt,) = await sql.runs.claim([attempt.task_id], [])
        assert (attempt.fence, attempt.attempt) == (fence, fence)


# Orders that come over the broker


async def test_a_producers_order_is_born_running(sql: Sql) -> None:
    """One statement stores it and claims it; no outbox row is needed."""
    task = a_task(payload={"text": "hi"}, secrets={"password": "s"})
    (attempt,) = await sql.runs.claim([], [task])
    assert (attempt.task_id, attempt.attempt, attempt.fence) == (task.id, 1, 1)
    assert attempt.payload == {"text": "hi", "password": "s"}
    row = await sql.task(task.id)
    assert (row["status"], row["payload"], row["had_secrets"]) == ("running", {"text": "hi"}, True)
    assert row["lease_until"] > row["started_at"] == row["created_at"]
    assert await sql.outbox() == []


async def test_a_producers_order_ahead_of_time_is_born_scheduled(sql: Sql) -> None:
    task = a_task(run_at=datetime.now(UTC) + LATER)
    assert await sql.runs.claim([], [task]) == []
    row = await sql.task(task.id)
    assert (row["status"], row["attempts"], row["fence"], row["lease_until"]) == ("scheduled", 0, 0, None)
    assert row["run_at"] == task.run_at


async def test_the_first_body_of_an_id_counts(sql: Sql) -> None:
    first = a_task(payload={"text": "first"})
    await sql.runs.claim([], [first])
    assert await sql.runs.claim([], [a_task(id=first.id, payload={"text": "second"})]) == []
    assert (await sql.task(first.id))["payload"] == {"text": "first"}


async def test_a_producers_order_that_waits_here_already_is_claimed(sql: Sql) -> None:
    """The row of a redelivered order may be back in the queue: after a shutdown, say."""
    task = a_task()
    (attempt,) = await sql.runs.claim([], [task])
    await sql.runs.give_back({task.id: attempt.fence})
    (again,) = await sql.runs.claim([], [a_task(id=task.id)])
    assert (again.attempt, again.fence) == (1, 2)


async def test_twins_from_many_producers_run_once(sql: Sql) -> None:
    tasks = [a_task() for _ in range(50)]

    async def receive() -> list[Attempt]:
        return await sql.runs.claim([], random.sample([a_task(id=task.id) for task in tasks], len(tasks)))

    claimed = await asyncio.gather(*(receive() for _ in range(6)))
    counts = Counter(attempt.task_id for attempts in claimed for attempt in attempts)
    assert counts == Counter(task.id for task in tasks)


async def test_twins_in_one_batch_run_once(sql: Sql) -> None:
    task = a_task()
    assert len(await sql.runs.claim([], [task, a_task(id=task.id)])) == 1


async def test_rows_and_births_are_claimed_together(sql: Sql) -> None:
    (row,) = await sql.enqueue(a_task())
    born = a_task()
    claimed = await sql.runs.claim([row], [born])
    assert {attempt.task_id for attempt in claimed} == {row, born.id}


async def test_a_claim_that_fails_claims_nothing(sql: Sql) -> None:
    """A call is one statement: nothing is left running under a lease that nobody holds."""
    (row,) = await sql.enqueue(a_task())
    good, unstorable = a_task(), a_task(payload={"text": "\0"})
    with pytest.raises(asyncpg.UntranslatableCharacterError):
        await sql.runs.claim([row], [good, unstorable])
    assert await sql.statuses() == {row: "queued"}
    assert len(await sql.runs.claim([row], [good])) == 2


# Leases


async def test_a_renewal_extends_the_leases_that_are_ours(sql: Sql) -> None:
    mine, lost, over = await running(sql), await running(sql), await running(sql)
    await sql.runs.finish([succeeded(over)])
    before = {one.task_id: (await sql.task(one.task_id))["lease_until"] for one in (mine, lost)}
    held = {mine.task_id: mine.fence, lost.task_id: lost.fence + 1, over.task_id: over.fence}
    assert await sql.runs.renew(held) == {mine.task_id}
    assert (await sql.task(mine.task_id))["lease_until"] > before[mine.task_id]
    assert (await sql.task(lost.task_id))["lease_until"] == before[lost.task_id]


async def test_renewals_and_ends_of_the_same_runs_do_not_hinder_each_other(sql: Sql) -> None:
    ids = await sql.enqueue(*(a_task() for _ in range(60)))
    attempts = await sql.runs.claim(ids, [])
    held = {attempt.task_id: attempt.fence for attempt in attempts}
    shuffled = random.sample(attempts, len(attempts))

    async def renew_until_the_end() -> None:
        while await sql.runs.renew(held):
            pass

    renewing = asyncio.create_task(renew_until_the_end())
    for start in range(0, len(shuffled), 10):
        assert len(await sql.runs.finish([succeeded(one) for one in shuffled[start : start + 10]])) == 10
    await renewing
    assert set((await sql.statuses()).values()) == {"succeeded"}


async def test_progress_is_shown_while_the_fence_holds(sql: Sql) -> None:
    mine, lost = await running(sql), await running(sql)
    news = Progress(3, 10, "third")
    await sql.runs.report({mine.task_id: (mine.fence, news), lost.task_id: (lost.fence - 1, news)})
    assert (await sql.task(mine.task_id))["progress"] == {"current": 3, "total": 10, "message": "third"}
    assert (await sql.task(lost.task_id))["progress"] is None


# Ends


async def test_a_batch_of_mixed_ends_is_stored_at_once(sql: Sql) -> None:
    good, bad, later = await running(sql), await running(sql), await running(sql)
    accepted = await sql.runs.finish([succeeded(good), failed(bad), postponed(later)])
    assert accepted == {good.task_id, bad.task_id, later.task_id}
    rows = [await sql.task(one.task_id) for one in (good, bad, later)]
    assert [row["status"] for row in rows] == ["succeeded", "failed", "scheduled"]
    assert [row["result"] for row in rows] == [{"text": "done"}, None, None]
    error = {"code": "http_status", "message": "The answer was 503.", "retryable": True}
    assert [row["error"] for row in rows] == [None, error, error]
    assert [row["finished_at"] is None for row in rows] == [False, False, True]
    assert all(row["lease_until"] is None for row in rows)


async def test_a_retry_waits_for_its_delay_on_the_databases_clock(sql: Sql) -> None:
    attempt = await running(sql)
    await sql.runs.finish([postponed(attempt, timedelta(seconds=90))])
    waits = await sql.value("select run_at - clock_timestamp() from tasks where id = $1", attempt.task_id)
    assert timedelta(seconds=60) < waits <= timedelta(seconds=90)


async def test_an_end_tells_the_subscribers(sql: Sql) -> None:
    """A retry is no end; a failure names its code."""
    good, bad, later = await running(sql), await running(sql), await running(sql)
    await sql.runs.finish([succeeded(good), failed(bad), postponed(later)])
    facts = {fact["subject"]: fact for fact in await sql.facts()}
    assert facts.keys() == {good.task_id, bad.task_id}
    assert facts[good.task_id]["name"] == "tasks.task_succeeded"
    assert facts[good.task_id]["body"] == {"task_id": str(good.task_id), "kind": "note"}
    assert facts[bad.task_id]["name"] == "tasks.task_failed"
    assert facts[bad.task_id]["body"] == {"task_id": str(bad.task_id), "kind": "note", "code": "http_status"}
    assert all(fact["lane"] == fact["subject"].int % 16 for fact in facts.values())


async def test_a_run_whose_fence_has_passed_is_refused(sql: Sql) -> None:
    """A worker that was frozen past its lease comes back with its result, and leaves no trace."""
    old = await running(sql)
    await sql.lose_leases(old.task_id)
    await sql.upkeep.reap(NOBODY_IDLE)
    (new,) = await sql.runs.claim([old.task_id], [])
    before = await sql.task(old.task_id)
    assert await sql.runs.finish([succeeded(old, '{"text": "late"}')]) == set()
    assert await sql.runs.renew({old.task_id: old.fence}) == set()
    assert await sql.task(old.task_id) == before
    assert await sql.facts() == []
    assert await sql.runs.finish([succeeded(new, '{"text": "mine"}')]) == {old.task_id}
    assert (await sql.task(old.task_id))["result"] == {"text": "mine"}


async def test_a_run_ends_once(sql: Sql) -> None:
    attempt = await running(sql)
    ends: list[Ending] = [succeeded(attempt), failed(attempt), postponed(attempt)]
    answers = await asyncio.gather(*(sql.runs.finish([end]) for end in ends * 3))
    assert [len(answer) for answer in answers].count(1) == 1


@pytest.mark.parametrize("ends", [succeeded, failed])
async def test_secrets_are_dropped_at_the_end(sql: Sql, ends: Callable[[Attempt], Ending]) -> None:
    attempt = await running(sql, secrets={"password": "s"})
    await sql.runs.finish([ends(attempt)])
    row = await sql.task(attempt.task_id)
    assert (row["secrets"], row["had_secrets"]) == (None, True)


async def test_secrets_are_kept_for_a_retry(sql: Sql) -> None:
    attempt = await running(sql, secrets={"password": "s"})
    await sql.runs.finish([postponed(attempt, SOON)])
    await sql.upkeep.release_due()
    (again,) = await sql.runs.claim([attempt.task_id], [])
    assert again.payload["password"] == "s"


async def test_a_unique_key_is_held_until_the_end(sql: Sql) -> None:
    async def enqueue() -> tuple[TaskId, Task]:
        task = a_task(unique_key="once")
        async with sql.work() as work:
            (living,) = await work.tasks.add_unless_live([task])
            return living.id, task

    living, first = await enqueue()
    assert living == first.id
    assert (await enqueue())[0] == first.id
    (attempt,) = await sql.runs.claim([first.id], [])
    assert (await enqueue())[0] == first.id
    await sql.runs.finish([postponed(attempt, SOON)])
    assert (await enqueue())[0] == first.id
    await sql.upkeep.release_due()
    (attempt,) = await sql.runs.claim([first.id], [])
    await sql.runs.finish([succeeded(attempt)])
    living, second = await enqueue()
    assert living == second.id


async def test_what_jsonb_cannot_hold_is_refused_with_nothing_stored(sql: Sql) -> None:
    good, bad = await running(sql), await running(sql)
    with pytest.raises(Exception, match="unsupported Unicode escape sequence"):
        await sql.runs.finish([succeeded(good), succeeded(bad, '{"text": "\\u0000"}')])
    assert set((await sql.statuses()).values()) == {"running"}


async def test_a_big_result_comes_back_as_it_was(sql: Sql) -> None:
    attempt = await running(sql)
    result = orjson.dumps({"text": "é" * 100_000}).decode()
    await sql.runs.finish([succeeded(attempt, result)])
    assert (await sql.task(attempt.task_id))["result"] == orjson.loads(result)


# A handler's own transaction


async def test_a_handlers_changes_and_its_result_are_one_commit(sql: Sql) -> None:
    attempt, user = await running(sql), a_user()
    async with sql.runs.alone() as work:
        await work.users.add(user)  # type: ignore[attr-defined]  # a finishing work has every repository
        assert await work.finish(succeeded(attempt))
        assert (await sql.task(attempt.task_id))["status"] == "running"
    assert (await sql.task(attempt.task_id))["status"] == "succeeded"
    assert await sql.value("select count(*) from users") == 1
    assert [fact["name"] for fact in await sql.facts()] == ["tasks.task_succeeded"]
    assert sql.hints.facts == 1


async def test_a_lost_lease_takes_the_handlers_changes_with_it(sql: Sql) -> None:
    old = await running(sql)
    await sql.lose_leases(old.task_id)
    await sql.upkeep.reap(NOBODY_IDLE)

    with suppress(LeaseLost):
        async with sql.runs.alone() as work:
            await work.users.add(a_user())  # type: ignore[attr-defined]  # a finishing work has every repository
            assert not await work.finish(succeeded(old))
            raise LeaseLost
    assert await sql.value("select count(*) from users") == 0
    assert (await sql.task(old.task_id))["status"] == "queued"


# Shutdown


async def test_what_is_given_back_is_queued_and_has_spent_nothing(sql: Sql) -> None:
    attempt = await running(sql)
    await sql.clear_outbox()
    await sql.runs.give_back({attempt.task_id: attempt.fence})
    row = await sql.task(attempt.task_id)
    assert (row["status"], row["attempts"], row["lease_until"]) == ("queued", 0, None)
    assert await sql.outbox() == [attempt.task_id]
    (again,) = await sql.runs.claim([attempt.task_id], [])
    assert (again.attempt, again.fence) == (1, 2)


async def test_only_what_is_ours_is_given_back(sql: Sql) -> None:
    attempt, over = await running(sql), await running(sql)
    await sql.runs.finish([succeeded(over)])
    await sql.runs.give_back({attempt.task_id: attempt.fence + 1, over.task_id: over.fence})
    assert await sql.statuses() == {attempt.task_id: "running", over.task_id: "succeeded"}


async def test_relays_hear_of_what_is_given_back(sql: Sql) -> None:
    attempt = await running(sql)
    told = sql.hints.tasks
    await sql.runs.give_back({attempt.task_id: attempt.fence})
    assert sql.hints.tasks == told + 1


# The reaper


async def test_a_lost_lease_is_queued_again_with_its_message(sql: Sql) -> None:
    """The attempt is spent."""
    attempt, alive = await running(sql), await running(sql)
    await sql.clear_outbox()
    await sql.lose_leases(attempt.task_id)
    assert await sql.upkeep.reap(NOBODY_IDLE) == Reaped(put_back=1, given_up=0, republished=0)
    row = await sql.task(attempt.task_id)
    assert (row["status"], row["attempts"], row["losses"], row["lease_until"]) == ("queued", 1, 1, None)
    assert await sql.outbox() == [attempt.task_id]
    assert (await sql.task(alive.task_id))["status"] == "running"
    assert await sql.upkeep.reap(NOBODY_IDLE) == NOTHING


async def test_a_worker_lost_in_the_last_attempt_ends_the_task(sql: Sql) -> None:
    """`max_attempts` 1 means at most once."""
    attempt = await running(sql, max_attempts=1, secrets={"password": "s"})
    await sql.clear_outbox()
    await sql.lose_leases(attempt.task_id)
    assert await sql.upkeep.reap(NOBODY_IDLE) == Reaped(put_back=0, given_up=1, republished=0)
    row = await sql.task(attempt.task_id)
    assert (row["status"], row["secrets"], row["lease_until"]) == ("failed", None, None)
    assert row["error"]["code"] == "worker_lost"
    assert row["finished_at"] is not None
    assert await sql.outbox() == []
    (fact,) = await sql.facts()
    assert (fact["name"], fact["body"]["code"]) == ("tasks.task_failed", "worker_lost")


async def test_five_losses_in_a_row_end_the_task(sql: Sql) -> None:
    """However many attempts it has: it takes its worker down."""
    (task_id,) = await sql.enqueue(a_task(max_attempts=100))
    for loss in range(1, 6):
        await sql.runs.claim([task_id], [])
        await sql.lose_leases(task_id)
        await sql.upkeep.reap(NOBODY_IDLE)
        assert (await sql.task(task_id))["status"] == ("queued" if loss < 5 else "failed")
    assert (await sql.task(task_id))["error"]["code"] == "worker_lost"


async def test_an_attempt_that_comes_to_its_end_forgives_the_losses(sql: Sql) -> None:
    (task_id,) = await sql.enqueue(a_task(max_attempts=100))
    for _ in range(4):
        await sql.runs.claim([task_id], [])
        await sql.lose_leases(task_id)
        await sql.upkeep.reap(NOBODY_IDLE)
    (attempt,) = await sql.runs.claim([task_id], [])
    await sql.runs.finish([postponed(attempt, SOON)])
    await sql.upkeep.release_due()
    await sql.runs.claim([task_id], [])
    await sql.lose_leases(task_id)
    await sql.upkeep.reap(NOBODY_IDLE)
    row = await sql.task(task_id)
    assert (row["status"], row["losses"]) == ("queued", 1)


async def test_reapers_at_once_put_each_back_once(sql: Sql) -> None:
    ids = await sql.enqueue(*(a_task() for _ in range(50)))
    await sql.runs.claim(ids, [])
    await sql.lose_leases(*ids)
    reaped = await asyncio.gather(*(sql.upkeep.reap(NOBODY_IDLE) for _ in range(5)))
    assert sum(one.put_back for one in reaped) == 50
    assert await sql.value("select count(*) from task_outbox") == 50


async def test_a_message_that_was_lost_is_published_again(sql: Sql) -> None:
    """Queued long enough, unclaimed, and nothing of its queue waits here or at the broker."""
    (task_id,) = await sql.enqueue(a_task())
    await sql.clear_outbox()
    assert await sql.upkeep.reap(ALL_IDLE, unclaimed_s=0) == Reaped(0, 0, republished=1)
    assert await sql.outbox() == [task_id]


async def test_nothing_is_published_again_before_its_time(sql: Sql) -> None:
    await sql.enqueue(a_task())
    await sql.clear_outbox()
    assert await sql.upkeep.reap(ALL_IDLE) == NOTHING


async def test_nothing_is_published_again_to_a_queue_with_messages(sql: Sql) -> None:
    """Then it is merely waiting."""
    await sql.enqueue(a_task(priority=Priority.HIGH))
    await sql.clear_outbox()
    assert await sql.upkeep.reap(ALL_IDLE - {Priority.HIGH}, unclaimed_s=0) == NOTHING
    assert await sql.upkeep.reap(NOBODY_IDLE, unclaimed_s=0) == NOTHING


async def test_nothing_is_published_again_while_its_outbox_has_rows(sql: Sql) -> None:
    lost, waiting, other = a_task(), a_task(), a_task(priority=Priority.LOW)
    await sql.enqueue(lost, other)
    await sql.clear_outbox()
    await sql.enqueue(waiting)
    assert (await sql.upkeep.reap(ALL_IDLE, unclaimed_s=0)).republished == 1
    assert await sql.outbox() == [waiting.id, other.id]


async def test_what_runs_or_has_ended_is_not_published_again(sql: Sql) -> None:
    await running(sql)
    over = await running(sql)
    await sql.runs.finish([succeeded(over)])
    await sql.enqueue(a_task(run_at=datetime.now(UTC) + LATER))
    await sql.clear_outbox()
    assert await sql.upkeep.reap(ALL_IDLE, unclaimed_s=0) == NOTHING


async def test_a_task_has_one_row_in_the_outbox(sql: Sql) -> None:
    """However often it is put back before the relay comes."""
    attempt = await running(sql)
    await sql.runs.give_back({attempt.task_id: attempt.fence})
    (attempt,) = await sql.runs.claim([attempt.task_id], [])
    await sql.lose_leases(attempt.task_id)
    await sql.upkeep.reap(NOBODY_IDLE)
    (attempt,) = await sql.runs.claim([attempt.task_id], [])
    await sql.runs.finish([postponed(attempt, SOON)])
    await sql.upkeep.release_due()
    assert await sql.outbox() == [attempt.task_id]


@pytest.mark.parametrize("round_", ["reap", "release"])
async def test_a_relay_that_hangs_holds_up_no_other_task(sql: Sql, round_: str) -> None:
    """The row that it is sending stays locked, so that task waits for its end; what else is due does not."""
    held, other = await running(sql), await running(sql)
    await sql.runs.give_back({held.task_id: held.fence})
    await sql.execute("delete from task_outbox where task_id <> $1", held.task_id)
    (held,) = await sql.runs.claim([held.task_id], [])

    async def come_back() -> None:
        await (sql.upkeep.release_due() if round_ == "release" else sql.upkeep.reap(NOBODY_IDLE))

    if round_ == "release":
        await sql.runs.finish([postponed(held, SOON), postponed(other, SOON)])
    else:
        await sql.lose_leases(held.task_id, other.task_id)
    before = (await sql.statuses())[held.task_id]
    async with sql.database.session() as relay, relay.transaction():
        await relay.execute("select from task_outbox for update")
        await come_back()
        assert await sql.statuses() == {held.task_id: before, other.task_id: "queued"}
        await relay.execute("delete from task_outbox where task_id = $1", held.task_id)
    await come_back()
    assert set((await sql.statuses()).values()) == {"queued"}
    assert set(await sql.outbox()) == {held.task_id, other.task_id}


# Other upkeep


async def test_what_is_due_is_queued_with_its_message(sql: Sql) -> None:
    due, ahead = a_task(run_at=datetime.now(UTC) + LATER), a_task(run_at=datetime.now(UTC) + LATER)
    await sql.enqueue(due, ahead)
    assert await sql.outbox() == []
    assert await sql.upkeep.release_due() == 0
    await sql.execute("update tasks set run_at = clock_timestamp() where id = $1", due.id)
    assert await sql.upkeep.release_due() == 1
    assert await sql.statuses() == {due.id: "queued", ahead.id: "scheduled"}
    assert await sql.outbox() == [due.id]
    assert sql.hints.tasks == 1
    assert len(await sql.runs.claim([due.id], [])) == 1


async def test_timers_at_once_queue_each_due_task_once(sql: Sql) -> None:
    await sql.enqueue(*(a_task(run_at=datetime.now(UTC) + LATER) for _ in range(60)))
    await sql.execute("update tasks set run_at = clock_timestamp()")
    assert sum(await asyncio.gather(*(sql.upkeep.release_due() for _ in range(5)))) == 60
    assert await sql.value("select count(*) from task_outbox") == 60


async def test_ended_tasks_are_forgotten_after_their_time(sql: Sql) -> None:
    old, young, alive = await running(sql), await running(sql), await running(sql)
    await sql.runs.finish([succeeded(old), succeeded(young)])
    await sql.execute(
        "update tasks set finished_at = finished_at - interval '2 days' where id = $1", old.task_id
    )
    assert await sql.upkeep.forget_ended(timedelta(days=1)) == 1
    assert await sql.statuses() == {young.task_id: "succeeded", alive.task_id: "running"}
    assert await sql.upkeep.forget_ended(timedelta(days=1)) == 0


async def test_idempotency_keys_are_forgotten_after_a_day(sql: Sql) -> None:
    """Batch after batch, also where no task is old enough to go."""
    await sql.execute(
        """insert into idempotency_keys (caller, key, fingerprint, status, ids, created_at)
           select 'user:1', n::text, ''::bytea, 202, '{}'::uuid[], clock_timestamp() - interval '25 hours'
             from generate_series(1, 2500) n
           union all select 'user:1', 'young', '', 202, '{}', clock_timestamp()"""
    )
    while await sql.upkeep.forget_ended(timedelta(days=1)):
        pass
    assert await sql.rows("select key from idempotency_keys") == [{"key": "young"}]


async def test_a_deadlock_between_batches_is_tried_again(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches that lock the same rows in another order: one of them loses, and runs again."""
    attempt, calls = await running(sql), []

    class Flaky(Database):
        def session(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - stands in for the real one
            calls.append(1)
            if len(calls) < 3:
                raise Contended("DeadlockDetectedError")
            return sql.database.session()

    runs = sql.runs
    monkeypatch.setattr(runs, "_database", Flaky("", size=1, name="flaky"))
    assert await runs.finish([succeeded(attempt)]) == {attempt.task_id}
    assert len(calls) == 3


async def test_who_asked_is_carried_to_the_run(sql: Sql) -> None:
    requester = a_requester(an_actor())
    assert (await running(sql, requested_by=requester)).requested_by == requester
