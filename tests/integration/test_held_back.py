"""Kinds with a limit on PostgreSQL: never more at once than it says, requesters in turn, nothing left behind."""

import asyncio

import pytest

from parlor.adapters.sql.engine import Database
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.model import Attempt, Priority, Requester, Succeeded, Task
from tests.builders import a_requester, a_task
from tests.sql import Sql

MANY = 1000


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database, limits={"note": 2})


async def delivered(sql: Sql, *tasks: Task) -> list[TaskId]:
    """Enqueue them, publish them, and let a worker take their messages."""
    ids = await sql.enqueue(*tasks)
    await sql.clear_outbox()
    assert await sql.runs.claim(ids, []) == []
    return ids


async def end(sql: Sql, *attempts: Attempt) -> None:
    endings = [Succeeded(attempt.task_id, attempt.fence, "{}") for attempt in attempts]
    assert len(await sql.runs.finish(endings)) == len(attempts)


async def test_what_has_no_room_is_held_back_and_claimed_when_it_has(sql: Sql) -> None:
    ids = await delivered(sql, *(a_task() for _ in range(3)))
    first = await sql.runs.claim_held_back(MANY)
    assert [attempt.task_id for attempt in first] == ids[:2]
    assert await sql.runs.claim_held_back(MANY) == []
    await end(sql, first[0])
    (last,) = await sql.runs.claim_held_back(MANY)
    assert (last.task_id, last.attempt, last.fence) == (ids[2], 1, 1)


async def test_kinds_without_a_limit_are_claimed_as_ever(sql: Sql) -> None:
    ids = await sql.enqueue(a_task(kind="other"), a_task(), a_task(kind="other"))
    assert {attempt.task_id for attempt in await sql.runs.claim(ids, [])} == {ids[0], ids[2]}


async def test_a_producers_order_is_born_held_back(sql: Sql) -> None:
    born = [a_task(secrets={"password": "s"}) for _ in range(3)]
    assert await sql.runs.claim([], born) == []
    assert set((await sql.statuses()).values()) == {"queued"}
    assert await sql.outbox() == []
    attempts = await sql.runs.claim_held_back(MANY)
    assert [attempt.payload["password"] for attempt in attempts] == ["s", "s"]
    assert await sql.runs.claim([], born) == []


async def test_a_producers_order_that_comes_again_is_held_back_too(sql: Sql) -> None:
    """Its row may wait for a message meanwhile: after a lost lease, say."""
    born = [a_task() for _ in range(3)]
    await sql.runs.claim([], born)
    for attempt in await sql.runs.claim_held_back(MANY):
        await sql.runs.give_back({attempt.task_id: attempt.fence})
    assert await sql.runs.claim([], born) == []
    assert len(await sql.runs.claim_held_back(MANY)) == 2


async def test_a_worker_takes_no_more_than_it_can_start(sql: Sql) -> None:
    await delivered(sql, a_task(), a_task())
    assert len(await sql.runs.claim_held_back(1)) == 1
    assert len(await sql.runs.claim_held_back(0)) == 0


async def test_each_kind_has_its_own_room(sql: Sql) -> None:
    sql.limits = {"note": 1, "other": 2}
    await delivered(sql, *(a_task(kind=kind) for kind in ("note", "other") for _ in range(3)))
    kinds = [attempt.kind for attempt in await sql.runs.claim_held_back(MANY)]
    assert sorted(kinds) == ["note", "other", "other"]


async def test_urgent_ones_go_first_and_requesters_in_turn(sql: Sql) -> None:
    """A long backlog of one delays nobody."""
    sql.limits = {"note": 4}
    ada, eve = a_requester(), a_requester()
    backlog = [a_task(requested_by=ada) for _ in range(50)]
    others = [a_task(requested_by=eve) for _ in range(3)]
    urgent = a_task(requested_by=ada, priority=Priority.HIGH)
    await delivered(sql, *backlog, *others, urgent)
    first = await sql.runs.claim_held_back(MANY)
    assert {attempt.task_id for attempt in first} == {
        urgent.id,
        backlog[0].id,
        *(task.id for task in others[:2]),
    }
    await end(sql, *first)
    whose: list[Requester] = [attempt.requested_by for attempt in await sql.runs.claim_held_back(MANY)]
    assert eve in whose
    assert whose.count(ada) == 3


async def test_many_workers_at_once_keep_the_limit(sql: Sql) -> None:
    sql.limits = {"note": 5}
    await delivered(sql, *(a_task() for _ in range(40)))
    done = 0
    while done < 40:
        found = await asyncio.gather(*(sql.runs.claim_held_back(MANY) for _ in range(8)))
        attempts = [attempt for claimed in found for attempt in claimed]
        assert len(attempts) == 5
        assert await sql.value("select count(*) from tasks where status = 'running'") == 5
        await end(sql, *attempts)
        done += len(attempts)


async def test_what_is_held_back_is_not_published_again(sql: Sql) -> None:
    """No message stands for it, and none is lost."""
    await delivered(sql, *(a_task() for _ in range(3)))
    assert (await sql.upkeep.reap(frozenset(Priority), unclaimed_s=0)).republished == 0
    assert await sql.upkeep.release_due() == 0


async def test_what_was_held_back_goes_on_when_the_limit_is_gone(sql: Sql) -> None:
    ids = await delivered(sql, *(a_task() for _ in range(3)))
    sql.limits = {}
    assert await sql.upkeep.release_due() == 3
    assert sorted(await sql.outbox()) == sorted(ids)
    assert len(await sql.runs.claim(ids, [])) == 3


async def test_a_cancelled_one_is_not_claimed_later(sql: Sql) -> None:
    (task_id,) = await delivered(sql, a_task())
    async with sql.work() as work:
        task = await work.tasks.get(task_id)
        task.cancel()
        await work.tasks.save(task)
    assert await sql.runs.claim_held_back(MANY) == []
