"""When a user has left: the task that says every context's farewell, and the one of tasks themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from parlor.core.identity.events import UserDeleted
from parlor.core.shared.actor import ActorKind
from parlor.core.shared.errors import Contended
from parlor.core.shared.farewell import Farewell
from parlor.core.shared.feed import Feed
from parlor.core.shared.handling import Context, Retry
from parlor.core.shared.ids import TaskId, UserId, uuid7
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.cancelling import CANCELLED_CHANNEL, cancelled_message
from parlor.core.tasks.model import MAX_ATTEMPTS, Order, Requester, Task
from parlor.core.tasks.ports import TaskWork
from parlor.core.tasks.schedules_ports import ScheduleWork
from parlor.core.tasks.waiting import ENDED_CHANNEL, ended_message

BATCH = 500
TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Departure:
    """Who has left."""

    user_id: UUID


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Every context has said its farewell."""


@dataclass(frozen=True, slots=True)
class ForgetUserHandler:
    """Parlor itself has every context say its farewell to a user who left; what is cut short begins again."""

    kind: ClassVar[str] = "forget_user"
    permission: ClassVar[str | None] = None
    internal: ClassVar[bool] = True

    farewells: Sequence[Farewell]

    async def __call__(self, payload: Departure, context: Context) -> Forgotten:
        for said, farewell in enumerate(self.farewells):
            await context.progress(said, len(self.farewells))
            try:
                await farewell(UserId(payload.user_id))
            except Contended as lost:
                raise Retry("contended", "Another change to the same rows was faster.") from lost
        return Forgotten()


async def forget_user(event: UserDeleted, work: TaskWork) -> None:
    """Whoever has left is forgotten by a task: it outlives the process that took the request."""
    order = Order(
        kind=ForgetUserHandler.kind,
        payload={"user_id": str(event.user_id)},
        max_attempts=MAX_ATTEMPTS[1],
        timeout_s=TIMEOUT_S,
    )
    await work.tasks.add(Task.ordered(TaskId(uuid7()), order, Requester(ActorKind.SYSTEM)))


@dataclass(frozen=True, slots=True)
class LeaveTasks:
    """A user who left has no schedules any more, and nothing of theirs waits or runs; what has ended stays its time."""

    work: UnitOfWork[ScheduleWork]
    feed: Feed

    async def __call__(self, user_id: UserId) -> None:
        async with self.work() as work:
            await work.schedules.remove_all(user_id)
        while await self._cancel(user_id) == BATCH:
            pass

    async def _cancel(self, user_id: UserId) -> int:
        async with self.work() as work:
            runs = await work.tasks.cancel_live(user_id, limit=BATCH)
        if runs:
            stopped = b"".join(cancelled_message(task_id, fence) for task_id, fence in runs.items())
            await self.feed.publish(CANCELLED_CHANNEL, stopped)
            await self.feed.publish(ENDED_CHANNEL, ended_message(list(runs)))
        return len(runs)
