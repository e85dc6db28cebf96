"""CancelTask and RetryTask: who may, in which states, and what is left."""

from datetime import timedelta

import pytest

from parlor.core.shared.actor import Actor, ActorKind, PermissionMissing
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.tasks.cancelling import CANCELLED_CHANNEL, read_cancelled
from parlor.core.tasks.model import (
    MANAGE,
    PayloadDropped,
    Requester,
    Task,
    TaskEnded,
    TaskError,
    TaskNotFailed,
    TaskStatus,
    UniqueKeyTaken,
)
from parlor.core.tasks.use_cases import CancelTask, RetryTask
from parlor.core.tasks.waiting import ENDED_CHANNEL, ended_message
from tests.builders import a_task, an_actor
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.running import FakeFeed
from tests.fakes.tasks import kinds_that
from tests.fakes.work import FakeDatabase

ADA = an_actor("tasks:create")
EVE = an_actor("tasks:create")
MANAGER = an_actor(MANAGE)
ADAS_KEY = Actor(kind=ActorKind.API_KEY, id=uuid7(), user_id=ADA.user_id)
SERVICE = Actor(kind=ActorKind.API_KEY, id=uuid7())
LIVE = [TaskStatus.SCHEDULED, TaskStatus.QUEUED, TaskStatus.RUNNING]
ENDED = [TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED]


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(FakeClock())


@pytest.fixture
def feed() -> FakeFeed:
    return FakeFeed()


@pytest.fixture
def cancel(database: FakeDatabase, feed: FakeFeed) -> CancelTask:
    return CancelTask(database.work, feed)


@pytest.fixture
def retry(database: FakeDatabase) -> RetryTask:
    return RetryTask(database.work, kinds_that())


def kept(database: FakeDatabase, status: TaskStatus, **fields: object) -> TaskId:
    task = a_task(**{"requested_by": Requester.of(ADA), "status": status, "fence": 4, **fields})
    database.store.tasks.tasks[task.id] = task
    return task.id


def now(database: FakeDatabase, task_id: TaskId) -> Task:
    return database.store.tasks.tasks[task_id]


@pytest.mark.parametrize("status", LIVE)
async def test_what_lives_is_ended(database: FakeDatabase, cancel: CancelTask, status: TaskStatus) -> None:
    task_id = kept(database, status, secrets={"password": "s"}, had_secrets=True)
    ran = await cancel(ADA, task_id)
    task = now(database, task_id)
    assert ran is (status is TaskStatus.RUNNING)
    assert (task.status, task.secrets, task.finished_at, task.version) == (
        TaskStatus.CANCELLED,
        None,
        NOON,
        2,
    )


async def test_the_worker_that_holds_the_run_is_told_under_its_fence(
    database: FakeDatabase, cancel: CancelTask, feed: FakeFeed
) -> None:
    task_id = kept(database, TaskStatus.RUNNING)
    await cancel(ADA, task_id)
    said = dict(feed.published)
    assert list(read_cancelled(said[CANCELLED_CHANNEL])) == [(task_id, 4)]
    assert said[ENDED_CHANNEL] == ended_message([task_id])


@pytest.mark.parametrize("status", ENDED)
async def test_what_has_ended_stays(
    database: FakeDatabase, cancel: CancelTask, feed: FakeFeed, status: TaskStatus
) -> None:
    task_id = kept(database, status)
    with pytest.raises(TaskEnded):
        await cancel(ADA, task_id)
    assert (now(database, task_id).status, feed.published) == (status, [])


@pytest.mark.parametrize(
    ("requester", "viewers"),
    [
        (ADA, [ADA, ADAS_KEY, MANAGER]),
        (ADAS_KEY, [ADA, ADAS_KEY, MANAGER]),
        (SERVICE, [SERVICE, MANAGER]),
        (Actor(kind=ActorKind.PRODUCER), [MANAGER]),
    ],
    ids=["a person", "her key", "a service", "a producer"],
)
async def test_only_who_may_see_a_task_may_end_it(
    database: FakeDatabase, cancel: CancelTask, requester: Actor, viewers: list[Actor]
) -> None:
    for viewer in (ADA, ADAS_KEY, SERVICE, EVE, MANAGER):
        task_id = kept(database, TaskStatus.QUEUED, requested_by=Requester.of(requester))
        if viewer in viewers:
            await cancel(viewer, task_id)
        else:
            with pytest.raises(NotFound):
                await cancel(viewer, task_id)
            assert now(database, task_id).status is TaskStatus.QUEUED


async def test_what_is_not_there_cannot_be_cancelled_or_retried(cancel: CancelTask, retry: RetryTask) -> None:
    for command in (cancel, retry):
        with pytest.raises(NotFound):
            await command(ADA, TaskId(uuid7()))


@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.CANCELLED])
async def test_a_retry_opens_a_new_run(database: FakeDatabase, retry: RetryTask, status: TaskStatus) -> None:
    past = NOON - timedelta(hours=1)
    task_id = kept(
        database,
        status,
        attempts=5,
        error=TaskError("handler_error", "It broke.", retryable=True),
        progress={"current": 1, "total": 2, "message": ""},
        run_at=past,
        started_at=past,
        finished_at=past,
    )
    await retry(ADA, task_id)
    task = now(database, task_id)
    assert (task.status, task.attempts, task.fence, task.version) == (TaskStatus.QUEUED, 0, 4, 2)
    assert (task.error, task.progress, task.run_at) == (None, None, NOON)
    assert (task.started_at, task.finished_at) == (None, None)


@pytest.mark.parametrize("status", [*LIVE, TaskStatus.SUCCEEDED])
async def test_only_what_failed_or_was_cancelled_runs_again(
    database: FakeDatabase, retry: RetryTask, status: TaskStatus
) -> None:
    task_id = kept(database, status)
    with pytest.raises(TaskNotFailed):
        await retry(ADA, task_id)
    assert now(database, task_id).version == 1


async def test_a_payload_whose_secrets_were_dropped_cannot_run_again(
    database: FakeDatabase, retry: RetryTask
) -> None:
    task_id = kept(database, TaskStatus.FAILED, had_secrets=True)
    with pytest.raises(PayloadDropped):
        await retry(ADA, task_id)


async def test_a_retry_does_not_stand_beside_a_live_twin(database: FakeDatabase, retry: RetryTask) -> None:
    kept(database, TaskStatus.QUEUED, unique_key="one")
    task_id = kept(database, TaskStatus.FAILED, unique_key="one")
    with pytest.raises(UniqueKeyTaken):
        await retry(ADA, task_id)
    assert now(database, task_id).status is TaskStatus.FAILED


async def test_a_retry_asks_for_the_rights_of_today(database: FakeDatabase, retry: RetryTask) -> None:
    """Somebody who could order it then and may not now cannot run it again; a manager can."""
    task_id = kept(database, TaskStatus.FAILED, kind="secret_note")
    with pytest.raises(PermissionMissing, match="tasks:create:secret_note"):
        await retry(ADA, task_id)
    await retry(MANAGER, task_id)
    assert now(database, task_id).status is TaskStatus.QUEUED


async def test_a_stranger_cannot_retry(database: FakeDatabase, retry: RetryTask) -> None:
    task_id = kept(database, TaskStatus.FAILED)
    with pytest.raises(NotFound):
        await retry(EVE, task_id)
