"""What people and services do with tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Flaw, Invalid, NotFound
from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.shared.work import OnceKey, UnitOfWork
from parlor.core.tasks.cancelling import CANCELLED_CHANNEL, cancelled_message
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.model import MANAGE, Order, Requester, Task, TaskStatus, UniqueKeyTaken
from parlor.core.tasks.ports import TaskWork
from parlor.core.tasks.waiting import ENDED_CHANNEL, ended_message

ACCEPTED = 202
ALREADY_LIVE = 200
MOST_FLAWS = 100


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
        order = self.kinds.checked(order)
        self.kinds.admit(actor, order.kind)
        task = Task.ordered(TaskId(uuid7()), order, Requester.of(actor))
        async with self.work() as work:
            earlier = await work.once(once, status=ACCEPTED, ids=[task.id])
            if earlier is not None:
                return Enqueued(TaskId(earlier.ids[0]), status=earlier.status, replayed=True)
            if task.unique_key is None:
                await work.tasks.add(task)
                return Enqueued(task.id, task=task)
            (living,) = await _added(work, [task])
            if living.id == task.id:
                return Enqueued(task.id, task=task)
            await work.amend(once, status=ALREADY_LIVE, ids=[living.id])
            return Enqueued(living.id, status=ALREADY_LIVE)


@dataclass(frozen=True, slots=True)
class EnqueuedBatch:
    """The tasks that stand for a batch of orders, in their order."""

    task_ids: Sequence[TaskId]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class EnqueueBatch:
    """Whoever may have each of the orders done has all of them done, or none."""

    work: UnitOfWork[TaskWork]
    kinds: Kinds

    async def __call__(
        self, actor: Actor, orders: Sequence[Order], *, once: OnceKey | None = None
    ) -> EnqueuedBatch:
        checked = self._checked(orders)
        for kind in {order.kind for order in checked}:
            self.kinds.admit(actor, kind)
        requester = Requester.of(actor)
        tasks = [Task.ordered(TaskId(uuid7()), order, requester) for order in checked]
        async with self.work() as work:
            earlier = await work.once(once, status=ACCEPTED, ids=[task.id for task in tasks])
            if earlier is not None:
                return EnqueuedBatch([TaskId(known) for known in earlier.ids], replayed=True)
            ids = [task.id for task in await _added(work, tasks)]
            await work.amend(once, status=ACCEPTED, ids=ids)
        return EnqueuedBatch(ids)

    def _checked(self, orders: Sequence[Order]) -> list[Order]:
        """Raise what the first of them raises, with the flaws of all, each at its place in the batch."""
        checked: list[Order] = []
        refused: list[Invalid] = []
        flaws: list[Flaw] = []
        for place, order in enumerate(orders):
            try:
                checked.append(self.kinds.checked(order))
            except Invalid as error:
                refused.append(error)
                flaws += [Flaw(f"/tasks/{place}{one.pointer}", one.code, one.detail) for one in error.flaws]
        if refused:
            raise type(refused[0])(flaws=flaws[:MOST_FLAWS])
        return checked


@dataclass(frozen=True, slots=True)
class CancelTask:
    """Whoever may see a task ends it before its time; what runs is stopped within a second."""

    work: UnitOfWork[TaskWork]
    feed: Feed

    async def __call__(self, actor: Actor, task_id: TaskId) -> bool:
        """Answer whether it was running. Raises NotFound, TaskEnded."""
        async with self.work() as work:
            task = await _visible(work, actor, task_id)
            ran = task.status is TaskStatus.RUNNING
            task.cancel()
            await work.tasks.save(task)
            work.after_commit(lambda: self._tell(task))
        return ran

    async def _tell(self, task: Task) -> None:
        await self.feed.publish(CANCELLED_CHANNEL, cancelled_message(task.id, task.fence))
        await self.feed.publish(ENDED_CHANNEL, ended_message([task.id]))


@dataclass(frozen=True, slots=True)
class RetryTask:
    """Whoever may see a task that failed or was cancelled, and could order it today, has it run again."""

    work: UnitOfWork[TaskWork]
    kinds: Kinds

    async def __call__(self, actor: Actor, task_id: TaskId) -> None:
        """Raises NotFound, PermissionMissing, TaskNotFailed, PayloadDropped, UniqueKeyTaken."""
        async with self.work() as work:
            task = await _visible(work, actor, task_id)
            if not actor.may(MANAGE):
                self.kinds.admit(actor, task.kind)
            task.retry()
            await work.tasks.save(task)


async def _visible(work: TaskWork, actor: Actor, task_id: TaskId) -> Task:
    task = await work.tasks.get(task_id)
    if not task.requested_by.shows_to(actor):
        raise NotFound
    return task


async def _added(work: TaskWork, tasks: Sequence[Task]) -> Sequence[Task]:
    """Add them; one whose unique key lives is stood for by its own twin, never by somebody else's."""
    living = await work.tasks.add_unless_live(tasks)
    if any(one.requested_by != task.requested_by for one, task in zip(living, tasks, strict=True)):
        raise UniqueKeyTaken
    return living
