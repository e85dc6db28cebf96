"""When a user has left: who is told, what is cut short, and what tasks themselves do."""

import asyncio
from dataclasses import dataclass, field

import pytest

from parlor.adapters.memory.feed import MemoryFeed
from parlor.adapters.payloads import PydanticPayloads
from parlor.core.identity.events import UserDeleted
from parlor.core.shared.actor import ActorKind
from parlor.core.shared.errors import Contended
from parlor.core.shared.handling import Retry
from parlor.core.shared.ids import TaskId, UserId, uuid7
from parlor.core.tasks import farewells
from parlor.core.tasks.cancelling import CANCELLED_CHANNEL, read_cancelled
from parlor.core.tasks.farewells import Departure, ForgetUserHandler, Forgotten, LeaveTasks, forget_user
from parlor.core.tasks.foreign import AdmitForeign, ForeignOrder, Producers, Refused
from parlor.core.tasks.kinds import Kinds, UnknownKind
from parlor.core.tasks.model import TaskStatus
from parlor.core.tasks.reasons import Reason
from tests.builders import a_requester, a_schedule, a_task, an_actor, an_order
from tests.fakes.handling import FakeContext
from tests.fakes.work import FakeDatabase

USER = UserId(uuid7())


@dataclass(slots=True)
class Said:
    """A farewell that remembers whom it was said to, and may fail first."""

    errors: list[Exception] = field(default_factory=list)
    to: list[UserId] = field(default_factory=list)

    async def __call__(self, user_id: UserId) -> None:
        if self.errors:
            raise self.errors.pop()
        self.to.append(user_id)


def kinds() -> Kinds:
    handlers = [ForgetUserHandler([])]
    return Kinds.of(handlers, PydanticPayloads(handlers))


async def test_a_deletion_makes_a_task_in_the_same_transaction() -> None:
    database = FakeDatabase(reactions={UserDeleted: [forget_user]})
    async with database.work() as work:
        work.publish(UserDeleted(USER))
    (task,) = database.store.tasks.tasks.values()
    assert (task.kind, task.payload) == ("forget_user", {"user_id": str(USER)})
    assert (task.requested_by.kind, task.requested_by.user_id) == (ActorKind.SYSTEM, None)
    assert kinds().payloads.build(task.kind, task.payload) == Departure(USER)


async def test_every_context_says_its_farewell_in_turn() -> None:
    said = [Said(), Said()]
    context = FakeContext()
    assert await ForgetUserHandler(said)(Departure(USER), context) == Forgotten()
    assert [one.to for one in said] == [[USER], [USER]]
    assert context.shown == [(0, 2, ""), (1, 2, "")]


async def test_what_lost_against_another_change_is_said_again() -> None:
    said = [Said(), Said(errors=[Contended("parties")]), Said()]
    with pytest.raises(Retry):
        await ForgetUserHandler(said)(Departure(USER), FakeContext())
    await ForgetUserHandler(said)(Departure(USER), FakeContext())
    assert [len(one.to) for one in said] == [2, 1, 1]


def test_nobody_can_ask_for_a_kind_of_parlors_own() -> None:
    admin = an_actor("tasks:create", "tasks:manage")
    with pytest.raises(UnknownKind):
        kinds().check("forget_user", {"user_id": str(USER)})
    with pytest.raises(UnknownKind):
        kinds().admit(admin, "forget_user")
    assert list(kinds().offered) == []
    assert kinds().handler("forget_user").kind == "forget_user"


async def test_neither_can_a_producer() -> None:
    """Not even where it is named as one of theirs."""
    admit = AdmitForeign(kinds(), Producers(frozenset({"forget_user"})), FakeDatabase().work)
    order = an_order(kind="forget_user", payload={"user_id": str(USER)})
    with pytest.raises(Refused) as refused:
        await admit(ForeignOrder(TaskId(uuid7()), order))
    assert refused.value.reason is Reason.UNKNOWN_KIND


async def test_tasks_end_and_schedules_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches; said twice it is the same; workers hear which runs to stop."""
    monkeypatch.setattr(farewells, "BATCH", 2)
    database, feed = FakeDatabase(), MemoryFeed()
    me = a_requester(an_actor(user_id=USER))
    mine = [a_task(requested_by=me, fence=number) for number in range(5)]
    theirs = a_task()
    async with database.work() as work:
        for task in (*mine, theirs):
            await work.tasks.add(task)
        await work.schedules.add(a_schedule(owner_id=USER))
    stopped: list[bytes] = []
    feed.listen(CANCELLED_CHANNEL, stopped.append)
    for _ in range(2):
        await LeaveTasks(database.work, feed)(USER)
    assert {database.store.tasks.tasks[task.id].status for task in mine} == {TaskStatus.CANCELLED}
    assert database.store.tasks.tasks[theirs.id].status is TaskStatus.QUEUED
    assert database.store.schedules.schedules == {}
    await asyncio.sleep(0)  # the feed hands its hints to the loop
    runs = [run for message in stopped for run in read_cancelled(message)]
    assert sorted(runs) == sorted((task.id, task.fence) for task in mine)
