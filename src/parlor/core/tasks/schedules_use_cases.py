"""What people do with schedules."""

from dataclasses import dataclass, replace

from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.ids import ScheduleId, uuid7
from parlor.core.shared.preconditions import ANY_VERSION, Expected
from parlor.core.shared.work import OnceKey, UnitOfWork
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.schedules import Changes, NewSchedule, OwnerNeeded, Schedule
from parlor.core.tasks.schedules_ports import CronLines, ScheduleWork

CREATED = 201


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a new schedule: itself, or under a used idempotency key the id of the first one."""

    schedule_id: ScheduleId
    schedule: Schedule | None = None


@dataclass(frozen=True, slots=True)
class AddSchedule:
    """Whoever holds `tasks:create`, and what the kind asks for beside it, has a task made at every due moment."""

    work: UnitOfWork[ScheduleWork]
    kinds: Kinds
    lines: CronLines
    clock: Clock

    async def __call__(self, actor: Actor, new: NewSchedule, *, once: OnceKey | None = None) -> Added:
        self.lines.check(new.cron, new.timezone)
        schedule = self._made(actor, new)
        self.kinds.admit(actor, new.kind)
        async with self.work() as work:
            earlier = await work.once(once, status=CREATED, ids=[schedule.id])
            if earlier is not None:
                return Added(ScheduleId(earlier.ids[0]))
            await work.schedules.add(schedule)
        return Added(schedule.id, schedule)

    def _made(self, actor: Actor, new: NewSchedule) -> Schedule:
        checked = self.kinds.check(new.kind, new.payload)
        if actor.user_id is None:
            raise OwnerNeeded
        now = self.clock()
        return Schedule(
            id=ScheduleId(uuid7()),
            owner_id=actor.user_id,
            name=new.name,
            cron=new.cron,
            timezone=new.timezone,
            kind=new.kind,
            payload=checked.payload,
            secrets=checked.secrets,
            priority=new.priority,
            enabled=new.enabled,
            created_at=now,
            next_run_at=self.lines.next_after(new.cron, new.timezone, now) if new.enabled else None,
        )


@dataclass(frozen=True, slots=True)
class ChangeSchedule:
    """The owner, or who manages tasks, changes a schedule; a new payload or kind needs the rights of a new schedule."""

    work: UnitOfWork[ScheduleWork]
    kinds: Kinds
    lines: CronLines
    clock: Clock

    async def __call__(
        self,
        actor: Actor,
        schedule_id: ScheduleId,
        changes: Changes,
        *,
        expected: Expected = ANY_VERSION,
    ) -> Schedule:
        self.lines.check(changes.cron, changes.timezone)
        async with self.work() as work:
            schedule = await work.schedules.get(schedule_id)
            schedule.must_be_visible(actor)
            before = replace(schedule)
            self._change_task(actor, schedule, changes)
            expected.must_be(schedule.version)
            schedule.change(changes)
            self._plan(schedule, before)
            if schedule != before:
                await work.schedules.save(schedule)
        return schedule

    def _change_task(self, actor: Actor, schedule: Schedule, changes: Changes) -> None:
        """Take over kind and payload. Secret fields never move to another kind, where they might be shown."""
        kind = schedule.kind if changes.kind is None else changes.kind
        if changes.payload is None and kind == schedule.kind:
            return
        payload = schedule.payload if changes.payload is None else changes.payload
        checked = self.kinds.check(kind, payload)
        self.kinds.admit(actor, kind)
        schedule.kind, schedule.payload, schedule.secrets = kind, checked.payload, checked.secrets

    def _plan(self, schedule: Schedule, before: Schedule) -> None:
        """Reckon from now, unless the times stay as they were: then what is due stays due."""
        if not schedule.enabled:
            schedule.disable()
        elif _times(schedule) != _times(before):
            schedule.next_run_at = self.lines.next_after(schedule.cron, schedule.timezone, self.clock())


def _times(schedule: Schedule) -> tuple[str, str, bool]:
    return schedule.cron, schedule.timezone, schedule.enabled


@dataclass(frozen=True, slots=True)
class RemoveSchedule:
    """The owner, or who manages tasks, ends a schedule; the tasks that it made go on."""

    work: UnitOfWork[ScheduleWork]

    async def __call__(
        self, actor: Actor, schedule_id: ScheduleId, *, expected: Expected = ANY_VERSION
    ) -> None:
        async with self.work() as work:
            schedule = await work.schedules.get(schedule_id)
            schedule.must_be_visible(actor)
            expected.must_be(schedule.version)
            await work.schedules.remove(schedule.id)
