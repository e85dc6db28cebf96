"""Port Tasks: one test body over memory and PostgreSQL."""

import asyncio
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime

import pytest

from parlor.core.shared.actor import ActorKind
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import ScheduleId, TaskId, uuid7
from parlor.core.tasks.model import Priority, Requester, Task, TaskStatus, UniqueKeyTaken
from tests.builders import a_requester, a_task
from tests.contract.backends import Backend
from tests.fakes.clock import NOON

FAR = datetime(2100, 1, 1, tzinfo=UTC)
# What only a run changes, and what the store's clock says at the commit.
BORN_WITH = {
    "status",
    "result",
    "error",
    "attempts",
    "progress",
    "started_at",
    "finished_at",
    "fence",
    "version",
}
BY_THE_CLOCK = {"created_at"}


async def added(backend: Backend, *tasks: Task) -> None:
    async with backend.work() as work:
        for task in tasks:
            await work.tasks.add(task)


async def found(backend: Backend, task_id: TaskId) -> Task:
    async with backend.work() as work:
        return await work.tasks.get(task_id)


async def unless_live(backend: Backend, task: Task) -> TaskId:
    for _ in range(3):
        try:
            async with backend.work() as work:
                (living,) = await work.tasks.add_unless_live([task])
                return living.id
        except Contended:
            continue
    raise AssertionError


async def test_every_field_of_an_ordered_task_comes_back(backend: Backend) -> None:
    task = a_task(
        kind="other",
        payload={"text": "hi", "deep": [1, {"x": None}]},
        requested_by=Requester(ActorKind.API_KEY, id=uuid7(), user_id=a_requester().user_id),
        secrets={"password": "s"},
        had_secrets=True,
        max_attempts=7,
        priority=Priority.HIGH,
        run_at=FAR,
        timeout_s=9,
        unique_key="one",
        schedule_id=ScheduleId(uuid7()),
        traceparent="00-1",
    )
    plain = a_task()
    given = {field.name for field in fields(Task)} - BORN_WITH - BY_THE_CLOCK
    assert all(getattr(task, name) != getattr(plain, name) for name in given)
    await added(backend, task)
    stored = await found(backend, task.id)
    assert {
        field.name for field in fields(Task) if getattr(stored, field.name) != getattr(task, field.name)
    } == set()
    assert stored.created_at is not None


async def test_a_task_is_born_without_a_past(backend: Backend) -> None:
    task = a_task()
    await added(backend, task)
    stored = await found(backend, task.id)
    defaults = a_task()
    assert {name: getattr(stored, name) for name in BORN_WITH} == {
        name: getattr(defaults, name) for name in BORN_WITH
    }


@pytest.mark.parametrize(
    ("run_at", "status"), [(None, TaskStatus.QUEUED), (NOON, TaskStatus.QUEUED), (FAR, TaskStatus.SCHEDULED)]
)
async def test_a_task_is_due_by_the_stores_clock(
    backend: Backend, run_at: datetime | None, status: TaskStatus
) -> None:
    """The task that was given says so too, once the transaction has committed."""
    task = a_task(run_at=run_at)
    await added(backend, task)
    stored = await found(backend, task.id)
    assert stored.status is task.status is status
    assert stored.run_at == task.run_at == (run_at or stored.created_at)
    assert stored.created_at == task.created_at


async def test_the_same_requester_comes_back(backend: Backend) -> None:
    for requester in (
        Requester(ActorKind.SYSTEM),
        Requester(ActorKind.PRODUCER),
        Requester(ActorKind.SCHEDULE, id=uuid7()),
        a_requester(),
    ):
        task = a_task(requested_by=requester)
        await added(backend, task)
        assert (await found(backend, task.id)).requested_by == requester


async def test_many_tasks_are_added_in_one_transaction(backend: Backend) -> None:
    tasks = [a_task(unique_key=f"key {n}" if n % 2 else None) for n in range(50)]
    await added(backend, *tasks)
    for task in tasks:
        assert (await found(backend, task.id)).unique_key == task.unique_key


async def test_an_added_task_is_there_within_the_transaction(backend: Backend) -> None:
    task = a_task()
    async with backend.work() as work:
        await work.tasks.add(task)
        assert (await work.tasks.get(task.id)).id == task.id


async def test_an_absent_task_is_not_found(backend: Backend) -> None:
    async with backend.work() as work:
        with pytest.raises(NotFound):
            await work.tasks.get(TaskId(uuid7()))


async def test_a_rolled_back_task_is_not_there(backend: Backend) -> None:
    tasks = [a_task(), a_task(unique_key="one")]

    async def fail() -> None:
        async with backend.work() as work:
            await work.tasks.add(tasks[0])
            await work.tasks.add_unless_live([tasks[1]])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    for task in tasks:
        with pytest.raises(NotFound):
            await found(backend, task.id)
    assert await unless_live(backend, tasks[1]) == tasks[1].id


async def test_a_unique_key_has_one_live_task(backend: Backend) -> None:
    first, second = a_task(unique_key="one"), a_task(unique_key="one")
    assert await unless_live(backend, first) == first.id
    assert await unless_live(backend, second) == first.id
    with pytest.raises(NotFound):
        await found(backend, second.id)


async def test_a_scheduled_task_holds_its_unique_key(backend: Backend) -> None:
    first = a_task(unique_key="one", run_at=FAR)
    assert await unless_live(backend, first) == first.id
    assert await unless_live(backend, a_task(unique_key="one")) == first.id


async def test_a_unique_key_is_free_after_the_end(backend: Backend) -> None:
    first, second = a_task(unique_key="one"), a_task(unique_key="one")
    await unless_live(backend, first)
    await backend.end_task(first.id)
    assert await unless_live(backend, second) == second.id


async def test_a_unique_key_belongs_to_its_kind(backend: Backend) -> None:
    first, second = a_task(unique_key="one"), a_task(unique_key="one", kind="other")
    assert await unless_live(backend, first) == first.id
    assert await unless_live(backend, second) == second.id


async def test_tasks_without_a_unique_key_do_not_hinder_each_other(backend: Backend) -> None:
    for task in (a_task(), a_task()):
        assert await unless_live(backend, task) == task.id


async def test_orders_of_one_unique_key_at_once_make_one_task(backend: Backend) -> None:
    tasks = [a_task(unique_key="one") for _ in range(8)]
    living = set(await asyncio.gather(*(unless_live(backend, task) for task in tasks)))
    assert len(living) == 1
    assert living <= {task.id for task in tasks}


async def test_a_unique_key_that_is_rolled_back_is_free_for_who_waited(backend: Backend) -> None:
    first, second = a_task(unique_key="one"), a_task(unique_key="one")

    waiting: list[asyncio.Task[TaskId]] = []

    async def fail() -> None:
        async with backend.work() as work:
            await work.tasks.add_unless_live([first])
            waiting.append(asyncio.create_task(unless_live(backend, second)))
            done, _ = await asyncio.wait(waiting, timeout=0.05)
            assert not done
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await waiting[0] == second.id


def shown(task: Task) -> dict[str, object]:
    return {field.name: getattr(task, field.name) for field in fields(Task)}


async def saved(backend: Backend, task_id: TaskId, change: Callable[[Task], None]) -> Task:
    async with backend.work() as work:
        task = await work.tasks.get(task_id)
        change(task)
        await work.tasks.save(task)
    return task


async def test_a_cancelled_task_is_stored_as_ended(backend: Backend) -> None:
    task = a_task(run_at=FAR, secrets={"password": "s"}, had_secrets=True, unique_key="one")
    await added(backend, task)
    given = await saved(backend, task.id, Task.cancel)
    stored = await found(backend, task.id)
    assert (stored.status, stored.secrets, stored.version) == (TaskStatus.CANCELLED, None, 2)
    assert stored.version == given.version
    assert stored.finished_at is not None
    changed = {"status", "secrets", "version", "finished_at"}
    before, after = shown(task), shown(stored)
    assert {name for name, value in before.items() if after[name] != value} == changed


async def test_a_retried_task_is_stored_as_new(backend: Backend) -> None:
    task = a_task(run_at=FAR)
    await added(backend, task)
    await saved(backend, task.id, Task.cancel)
    await saved(backend, task.id, Task.retry)
    stored = await found(backend, task.id)
    assert (stored.status, stored.version, stored.finished_at) == (TaskStatus.QUEUED, 3, None)
    assert stored.run_at is not None
    assert stored.run_at < FAR


async def test_a_save_loses_against_one_in_between(backend: Backend) -> None:
    task = a_task()
    await added(backend, task)
    stale = await found(backend, task.id)
    await saved(backend, task.id, Task.cancel)
    stale.cancel()
    with pytest.raises(Contended):
        async with backend.work() as work:
            await work.tasks.save(stale)


async def test_a_retried_task_does_not_stand_beside_a_live_twin(backend: Backend) -> None:
    first, second = a_task(unique_key="one"), a_task(unique_key="one")
    await added(backend, first)
    await saved(backend, first.id, Task.cancel)
    await added(backend, second)
    with pytest.raises(UniqueKeyTaken):
        await saved(backend, first.id, Task.retry)
    assert (await found(backend, first.id)).status is TaskStatus.CANCELLED


async def test_many_are_added_where_no_twin_lives(backend: Backend) -> None:
    """Twins may live before the batch or within it."""
    old, *new = (a_task(unique_key=key) for key in ("old", "new", "new", "old", None, None))
    await added(backend, old)
    async with backend.work() as work:
        living = await work.tasks.add_unless_live(new)
    assert [task.id for task in living] == [new[0].id, new[0].id, old.id, new[3].id, new[4].id]
    assert (await found(backend, new[0].id)).unique_key == "new"
    with pytest.raises(NotFound):
        await found(backend, new[1].id)


async def test_what_is_for_a_person_and_has_not_ended_is_cancelled_in_batches(backend: Backend) -> None:
    mine, another = a_requester(), a_requester()
    assert mine.user_id is not None
    ended = a_task(requested_by=mine)
    later = a_task(requested_by=mine, run_at=FAR)
    by_key = a_task(
        requested_by=Requester(ActorKind.API_KEY, id=uuid7(), user_id=mine.user_id), secrets={"password": "x"}
    )
    theirs = a_task(requested_by=another)
    await added(backend, ended, later, by_key, theirs)
    await backend.end_task(ended.id)
    batches: list[set[TaskId]] = []
    for _ in range(3):
        async with backend.work() as work:
            batches.append(set(await work.tasks.cancel_live(mine.user_id, limit=1)))
    assert batches == [{later.id}, {by_key.id}, set()]
    statuses = [(await found(backend, task.id)).status for task in (ended, later, by_key, theirs)]
    assert statuses == ["succeeded", "cancelled", "cancelled", "queued"]
    stopped = await found(backend, by_key.id)
    assert (stopped.secrets, stopped.version) == (None, 2)
    assert stopped.finished_at is not None


async def test_a_run_that_is_cancelled_is_named_by_its_fence(backend: Backend) -> None:
    mine = a_requester()
    assert mine.user_id is not None
    task = a_task(requested_by=mine)
    await added(backend, task)
    async with backend.work() as work:
        assert await work.tasks.cancel_live(mine.user_id, limit=10) == {task.id: 0}
