"""What is dealt to a worker: read, refused where it cannot be taken, and claimed all at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from parlor.core.shared.bus import Delivery, Inbox
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.foreign import AdmitForeign, ForeignOrder, Refused
from parlor.core.tasks.model import Attempt, Task
from parlor.core.tasks.ports import Runs
from parlor.core.tasks.reasons import Reason
from parlor.entrypoints.consume_worker.attempts import Attempts
from parlor.entrypoints.consume_worker.messages import DueRow, admitted, read
from parlor.entrypoints.consume_worker.patience import patiently
from parlor.entrypoints.consume_worker.run_meter import RunMeter

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Dealt:
    """The deliveries that can be taken, the tasks that are born of them, and what came twice."""

    deliveries: dict[TaskId, Delivery] = field(default_factory=dict[TaskId, Delivery])
    born: list[Task] = field(default_factory=list[Task])
    repeated: list[Delivery] = field(default_factory=list[Delivery])


@dataclass(frozen=True, slots=True)
class Intake:
    """Reads and claims; whatever cannot be taken is refused here, with its reason."""

    inbox: Inbox
    runs: Runs
    admit: AdmitForeign
    attempts: Attempts
    meter: RunMeter

    async def read(self, deliveries: Sequence[Delivery]) -> Dealt:
        """Read them: rows of ours by their ids, orders of foreign producers as the tasks that they ask for."""
        dealt = Dealt()
        for delivery in deliveries:
            self.meter.delivered(delivery)
            try:
                said = read(delivery)
                task = None if isinstance(said, DueRow) else await self._admitted(said)
            except Refused as refused:
                self.meter.refused(refused.reason)
                await patiently(partial(self.inbox.refuse, delivery, refused.reason, refused.detail))
                continue
            task_id = said.task_id if isinstance(said, DueRow) else said.id
            if task_id in dealt.deliveries:
                dealt.repeated.append(delivery)
                continue
            dealt.deliveries[task_id] = delivery
            if task is not None:
                dealt.born.append(task)
        return dealt

    async def claim(self, dealt: Dealt) -> list[Attempt]:
        """Claim all in one statement; if the database chokes on one of the orders, each by itself."""
        if not dealt.deliveries:
            return []
        newborn = {task.id for task in dealt.born}
        rows = [task_id for task_id in dealt.deliveries if task_id not in newborn]
        try:
            return await patiently(partial(self.runs.claim, rows, dealt.born))
        except Exception:
            log.exception("claim_failed", tasks=len(rows) + len(dealt.born))
        attempts = await patiently(partial(self.runs.claim, rows, [])) if rows else []
        for task in dealt.born:
            try:
                attempts += await patiently(partial(self.runs.claim, [], [task]))
            except Exception as error:  # noqa: BLE001 - this is the one
                await self._refuse_birth(dealt.deliveries.pop(task.id), error)
        return attempts

    async def _admitted(self, said: ForeignOrder) -> Task:
        return await patiently(partial(admitted, self.attempts.received(said), self.admit))

    async def _refuse_birth(self, delivery: Delivery, error: Exception) -> None:
        self.meter.refused(Reason.INVALID_MESSAGE)
        detail = f"It cannot be stored: {type(error).__name__}."
        await self.inbox.refuse(delivery, Reason.INVALID_MESSAGE, detail)
