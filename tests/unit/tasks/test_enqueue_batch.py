"""EnqueueBatch: all of it or nothing, in its order, each flaw at its place."""

import pytest

from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import Invalid
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.kinds import UnknownKind
from parlor.core.tasks.model import Requester, Task, UniqueKeyTaken
from parlor.core.tasks.use_cases import EnqueueBatch
from tests.builders import a_key, a_task, an_actor, an_order
from tests.fakes.clock import FakeClock
from tests.fakes.tasks import kinds_that
from tests.fakes.work import FakeDatabase

ADA = an_actor("tasks:create")


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(FakeClock())


@pytest.fixture
def enqueue(database: FakeDatabase) -> EnqueueBatch:
    return EnqueueBatch(database.work, kinds_that())


def stored(database: FakeDatabase) -> dict[TaskId, Task]:
    return database.store.tasks.tasks


async def test_a_batch_is_stored_in_its_order(database: FakeDatabase, enqueue: EnqueueBatch) -> None:
    orders = [an_order(payload={"text": str(number), "password": "s"}) for number in range(10)]
    batch = await enqueue(ADA, orders)
    tasks = [stored(database)[task_id] for task_id in batch.task_ids]
    assert [task.payload for task in tasks] == [{"text": str(number)} for number in range(10)]
    assert {task.requested_by for task in tasks} == {Requester.of(ADA)}
    assert all(task.secrets == {"password": "s"} and task.had_secrets for task in tasks)


async def test_every_flaw_is_told_at_its_place_and_nothing_is_stored(
    database: FakeDatabase, enqueue: EnqueueBatch
) -> None:
    orders = [an_order(), an_order(payload={"text": ""}), an_order(), an_order(payload={"more": 1})]
    with pytest.raises(Invalid) as refused:
        await enqueue(ADA, orders)
    assert [flaw.pointer for flaw in refused.value.flaws] == [
        "/tasks/1/payload/text",
        "/tasks/3/payload/more",
    ]
    assert stored(database) == {}


async def test_an_unknown_kind_is_told_at_its_place(enqueue: EnqueueBatch) -> None:
    with pytest.raises(UnknownKind) as refused:
        await enqueue(ADA, [an_order(), an_order(kind="nonsense")])
    assert [flaw.pointer for flaw in refused.value.flaws] == ["/tasks/1/kind"]


async def test_one_kind_that_is_not_allowed_refuses_all(
    database: FakeDatabase, enqueue: EnqueueBatch
) -> None:
    with pytest.raises(PermissionMissing, match="secret_note"):
        await enqueue(ADA, [an_order(), an_order(kind="secret_note")])
    assert stored(database) == {}


async def test_a_live_twin_stands_for_an_order_also_within_the_batch(
    database: FakeDatabase, enqueue: EnqueueBatch
) -> None:
    living = a_task(unique_key="old", requested_by=Requester.of(ADA))
    stored(database)[living.id] = living
    keys = ["old", "new", "new", None, None]
    ids = (await enqueue(ADA, [an_order(unique_key=key) for key in keys])).task_ids
    assert ids[0] == living.id
    assert ids[1] == ids[2]
    assert len(set(ids)) == len(stored(database)) == 4


async def test_a_live_twin_of_somebody_else_refuses_all(
    database: FakeDatabase, enqueue: EnqueueBatch
) -> None:
    living = a_task(unique_key="old")
    stored(database)[living.id] = living
    with pytest.raises(UniqueKeyTaken):
        await enqueue(ADA, [an_order(), an_order(unique_key="old")])
    assert list(stored(database)) == [living.id]


async def test_a_repeated_batch_is_the_first(database: FakeDatabase, enqueue: EnqueueBatch) -> None:
    living = a_task(unique_key="old", requested_by=Requester.of(ADA))
    stored(database)[living.id] = living
    orders = [an_order(), an_order(unique_key="old")]
    first = await enqueue(ADA, orders, once=a_key())
    again = await enqueue(ADA, orders, once=a_key())
    assert (again.task_ids, first.replayed, again.replayed) == (first.task_ids, False, True)
    assert len(stored(database)) == 2
