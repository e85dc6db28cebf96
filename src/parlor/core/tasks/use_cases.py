"""What people and services do with tasks."""

from dataclasses import dataclass

from parlor.core.shared.actor import Actor
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.shared.work import OnceKey, UnitOfWork
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.model import Order, Requester, Task, UniqueKeyTaken
from parlor.core.tasks.ports import TaskWork

ACCEPTED = 202
ALREADY_LIVE = 200


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of an order: the task itself when it is new, else the id of the one that stands for it.

    `status` is the HTTP status of the first answer, which a repetition under an idempotency key gives again.
    """

    task_id: TaskId
    status: int = ACCEPTED
    task: Task | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class EnqueueTask:
    """Whoever holds `tasks:create`, and what the kind asks for beside it, has something done."""

    work: UnitOfWork[TaskWork]
    kinds: Kinds

    async def __call__(self, actor: Actor, order: Order, *, once: OnceKey | None = None) -> Enqueued:
        checked = self.kinds.check(order.kind, order.payload)
        self.kinds.admit(actor, order.kind)
        task = Task.ordered(TaskId(uuid7()), order, Requester.of(actor))
        task.payload, task.secrets = checked.payload, checked.secrets
        async with self.work() as work:
            earlier = await work.once(once, status=ACCEPTED, ids=[task.id])
            if earlier is not None:
                return Enqueued(TaskId(earlier.ids[0]), status=earlier.status, replayed=True)
            if task.unique_key is None:
                await work.tasks.add(task)
                return Enqueued(task.id, task=task)
            return await self._unless_live(work, task, once)

    async def _unless_live(self, work: TaskWork, task: Task, once: OnceKey | None) -> Enqueued:
        living = await work.tasks.add_unless_live(task)
        if living == task.id:
            return Enqueued(task.id, task=task)
        other = await work.tasks.get(living)
        if not _same_person(other.requested_by, task.requested_by):
            raise UniqueKeyTaken
        await work.amend(once, status=ALREADY_LIVE, ids=[living])
        return Enqueued(living, status=ALREADY_LIVE)


def _same_person(one: Requester, other: Requester) -> bool:
    return (one.kind, one.id, one.user_id) == (other.kind, other.id, other.user_id)
