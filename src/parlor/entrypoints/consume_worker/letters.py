"""Dead letters on their way into the table; what only the broker gave up on is looked at first."""

from dataclasses import dataclass, replace

import structlog

from parlor.core.shared.bus import Delivery
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.foreign import AdmitForeign, ForeignOrder, Refused
from parlor.core.tasks.letters import KeepDeadLetter
from parlor.core.tasks.model import DeadLetter
from parlor.core.tasks.ports import TaskWork
from parlor.core.tasks.reasons import Reason
from parlor.entrypoints.consume_worker.messages import DueRow, admitted, read

log = structlog.get_logger()

# What was read, and refused for what it says; the other reasons are that it could not be read.
JUDGED = frozenset({Reason.UNKNOWN_KIND, Reason.FORBIDDEN_KIND, Reason.INVALID_PAYLOAD})


@dataclass(frozen=True, slots=True)
class TakeLetter:
    """Keeps a dead letter.

    The broker's own limit counts innocent returns too, so what it moved is judged again: with a row nothing is
    listed (the reaper publishes it again if it has not ended); without one, what can be read is born now.
    """

    admit: AdmitForeign
    work: UnitOfWork[TaskWork]

    async def __call__(self, letter: DeadLetter, from_broker: bool, delivery: Delivery) -> None:  # noqa: FBT001 - the port's signature
        if not from_broker:
            await KeepDeadLetter(self.work)(letter)
            return
        try:
            said = read(delivery)
            await self._take_anew(said)
        except Refused as refused:
            reason = refused.reason if refused.reason in JUDGED else Reason.DELIVERY_LIMIT
            await KeepDeadLetter(self.work)(replace(letter, reason=reason, detail=refused.detail))

    async def _take_anew(self, said: DueRow | ForeignOrder) -> None:
        if isinstance(said, DueRow):
            return  # its row, if it still has one, is the reaper's
        task = await admitted(said, self.admit)
        async with self.work() as work:
            if await work.letters.has_row(task.id):
                return
            await work.tasks.add(task)
        log.info("born_from_dead_letters", task_id=str(task.id), kind=task.kind)
