"""EnqueueTask: who may ask for what, and when an order stands for one that is there already."""

from datetime import timedelta

import pytest

from parlor.core.shared.actor import Actor, ActorKind, PermissionMissing
from parlor.core.shared.errors import IdempotencyKeyReused, Invalid
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.tasks.kinds import Kinds, UnknownKind
from parlor.core.tasks.model import Priority, Requester, Task, TaskStatus, UniqueKeyTaken
from parlor.core.tasks.use_cases import Enqueued, EnqueueTask
from tests.builders import a_key, an_actor, an_order
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.tasks import NoteHandler, kinds_that
from tests.fakes.work import FakeDatabase

CREATE, SECRET_NOTES = "tasks:create", "tasks:create:secret_note"
ADA = an_actor(CREATE)


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(FakeClock())


@pytest.fixture
def enqueue(database: FakeDatabase) -> EnqueueTask:
    return EnqueueTask(database.work, kinds_that())


def stored(database: FakeDatabase) -> list[Task]:
    return list(database.store.tasks.tasks.values())


async def test_an_order_becomes_a_task_as_it_was_given(database: FakeDatabase, enqueue: EnqueueTask) -> None:
    order = an_order(
        payload={"text": "hi", "password": "s"},
        priority=Priority.HIGH,
        max_attempts=2,
        timeout_s=7,
        traceparent="00-1",
    )
    enqueued = await enqueue(ADA, order)
    (task,) = stored(database)
    assert enqueued == Enqueued(task.id, status=202, task=task, replayed=False)
    assert (task.kind, task.payload, task.secrets) == ("note", {"text": "hi"}, {"password": "s"})
    assert (task.priority, task.max_attempts, task.timeout_s) == (Priority.HIGH, 2, 7)
    assert (task.requested_by, task.traceparent) == (Requester.of(ADA), "00-1")
    assert (task.status, task.attempts, task.fence, task.run_at) == (TaskStatus.QUEUED, 0, 0, NOON)


async def test_an_order_for_later_is_scheduled(database: FakeDatabase, enqueue: EnqueueTask) -> None:
    await enqueue(ADA, an_order(run_at=NOON + timedelta(hours=1)))
    assert stored(database)[0].status is TaskStatus.SCHEDULED


async def test_who_may_not_create_tasks_is_refused(database: FakeDatabase, enqueue: EnqueueTask) -> None:
    with pytest.raises(PermissionMissing, match=CREATE):
        await enqueue(an_actor(SECRET_NOTES), an_order())
    assert stored(database) == []


async def test_a_kind_may_ask_for_one_permission_more(database: FakeDatabase, enqueue: EnqueueTask) -> None:
    with pytest.raises(PermissionMissing, match=SECRET_NOTES):
        await enqueue(ADA, an_order(kind="secret_note"))
    await enqueue(an_actor(CREATE, SECRET_NOTES), an_order(kind="secret_note"))
    assert [task.kind for task in stored(database)] == ["secret_note"]


async def test_an_unknown_kind_is_refused(enqueue: EnqueueTask) -> None:
    with pytest.raises(UnknownKind) as refused:
        await enqueue(ADA, an_order(kind="nonsense"))
    assert [flaw.pointer for flaw in refused.value.flaws] == ["/kind"]


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        ({"text": ""}, "/payload/text"),
        ({"text": 1}, "/payload/text"),
        ({"text": "hi", "more": 1}, "/payload/more"),
    ],
)
async def test_a_payload_that_its_kind_does_not_take_is_refused(
    database: FakeDatabase, enqueue: EnqueueTask, payload: dict[str, object], pointer: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await enqueue(ADA, an_order(payload=payload))
    assert [flaw.pointer for flaw in refused.value.flaws] == [pointer]
    assert stored(database) == []


async def test_a_payload_is_stored_with_its_defaults(database: FakeDatabase, enqueue: EnqueueTask) -> None:
    await enqueue(ADA, an_order(payload={}))
    assert stored(database)[0].payload == {"text": "hello"}


async def test_the_same_request_again_is_the_same_task(database: FakeDatabase, enqueue: EnqueueTask) -> None:
    first = await enqueue(ADA, an_order(), once=a_key())
    again = await enqueue(ADA, an_order(), once=a_key())
    assert again == Enqueued(first.task_id, status=202, task=None, replayed=True)
    assert len(stored(database)) == 1


async def test_another_request_under_the_same_key_is_refused(
    database: FakeDatabase, enqueue: EnqueueTask
) -> None:
    await enqueue(ADA, an_order(), once=a_key())
    with pytest.raises(IdempotencyKeyReused):
        await enqueue(ADA, an_order(), once=a_key(fingerprint=b"other"))
    assert len(stored(database)) == 1


async def test_a_request_that_failed_frees_its_key(database: FakeDatabase, enqueue: EnqueueTask) -> None:
    await enqueue(an_actor(CREATE), an_order(unique_key="one"))
    with pytest.raises(UniqueKeyTaken):
        await enqueue(ADA, an_order(unique_key="one"), once=a_key())
    assert database.store.once == {}


async def test_a_unique_key_that_lives_stands_for_the_order(
    database: FakeDatabase, enqueue: EnqueueTask
) -> None:
    first = await enqueue(ADA, an_order(unique_key="one"))
    again = await enqueue(ADA, an_order(unique_key="one", payload={"text": "other"}))
    assert again == Enqueued(first.task_id, status=200, task=None, replayed=False)
    assert first.status == 202
    assert len(stored(database)) == 1


async def test_a_replay_is_answered_as_the_first_was(enqueue: EnqueueTask) -> None:
    """The first found a live task under its unique key: 200 then, 200 now, and no second task after its end."""
    living = await enqueue(ADA, an_order(unique_key="one"))
    await enqueue(ADA, an_order(unique_key="one"), once=a_key())
    again = await enqueue(ADA, an_order(unique_key="one"), once=a_key())
    assert again == Enqueued(living.task_id, status=200, replayed=True)


async def test_a_unique_key_is_free_after_the_end(database: FakeDatabase, enqueue: EnqueueTask) -> None:
    first = await enqueue(ADA, an_order(unique_key="one"))
    database.end_task(first.task_id)
    assert (await enqueue(ADA, an_order(unique_key="one"))).status == 202
    assert len(stored(database)) == 2


async def test_a_unique_key_belongs_to_its_kind(database: FakeDatabase, enqueue: EnqueueTask) -> None:
    actor = an_actor(CREATE, SECRET_NOTES)
    await enqueue(actor, an_order(unique_key="one"))
    assert (await enqueue(actor, an_order(unique_key="one", kind="secret_note"))).status == 202
    assert len(stored(database)) == 2


@pytest.mark.parametrize("kind", [ActorKind.USER, ActorKind.API_KEY])
async def test_anothers_live_task_is_not_shown(enqueue: EnqueueTask, kind: ActorKind) -> None:
    """Neither to another person, nor to another key of the same person."""
    await enqueue(ADA, an_order(unique_key="one"))
    person = ADA.user_id if kind is ActorKind.API_KEY else UserId(uuid7())
    other = Actor(kind, id=uuid7(), user_id=person, permissions=frozenset({CREATE}))
    with pytest.raises(UniqueKeyTaken):
        await enqueue(other, an_order(unique_key="one"))


def test_two_handlers_of_one_kind_stop_the_boot() -> None:
    with pytest.raises(ValueError, match="share a kind"):
        Kinds.of([NoteHandler(), NoteHandler()], kinds_that().payloads)


def test_a_requester_acts_without_permissions() -> None:
    assert Requester.of(ADA).actor() == Actor(ADA.kind, id=ADA.id, user_id=ADA.user_id)
