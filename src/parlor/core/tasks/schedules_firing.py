"""Firing: schedules whose moment has come make their tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import Forbidden, Invalid
from parlor.core.shared.ids import ScheduleId, TaskId, UserId, uuid7
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.model import Task
from parlor.core.tasks.schedules import OwnerNeeded, Schedule
from parlor.core.tasks.schedules_ports import CronLines, ScheduleWork

Rights = Mapping[UserId, frozenset[str]]


@dataclass(slots=True)
class Fired:
    """One round: the tasks that were made, and the schedules that had to be disabled, with a code that says why."""

    tasks: list[Task] = field(default_factory=list[Task])
    disabled: dict[ScheduleId, str] = field(default_factory=dict[ScheduleId, str])

    @property
    def schedules(self) -> int:
        """How many were due."""
        return len(self.tasks) + len(self.disabled)


@dataclass(frozen=True, slots=True)
class FireSchedules:
    """The timers have each due schedule make one task, in its owner's name and by what the owner may do now.

    Moments that nobody was there for are made up for once: the next is reckoned from now. A kind that this process
    does not know is left to one that does.
    """

    work: UnitOfWork[ScheduleWork]
    kinds: Kinds
    lines: CronLines
    clock: Clock

    async def __call__(self, *, limit: int) -> Fired:
        now, fired = self.clock(), Fired()
        async with self.work() as work:
            due = await work.schedules.due(now, kinds=self.kinds.handlers.keys(), limit=limit)
            if not due:
                return fired
            rights = await work.owners.permissions({schedule.owner_id for schedule in due})
            for schedule in due:
                self._fire(schedule, rights, now, fired)
            await work.schedules.record(due)
            for task in fired.tasks:
                await work.tasks.add(task)
        return fired

    def _fire(self, schedule: Schedule, rights: Rights, now: datetime, fired: Fired) -> None:
        """Make its task. One that cannot is disabled, and stands in nobody's way."""
        try:
            if schedule.owner_id not in rights:
                raise OwnerNeeded
            self.kinds.admit(schedule.acting(rights[schedule.owner_id]), schedule.kind)
            following = self.lines.next_after(schedule.cron, schedule.timezone, now)
            fired.tasks.append(schedule.fire(TaskId(uuid7()), now, following=following))
        except (Forbidden, Invalid) as refusal:
            schedule.disable()
            fired.disabled[schedule.id] = refusal.code
