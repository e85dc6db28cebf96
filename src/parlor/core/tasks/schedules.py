"""A schedule: a task that is made anew at each minute which a cron line names."""

from dataclasses import dataclass
from datetime import datetime

from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.errors import Conflict, Forbidden, Invalid, NotFound
from parlor.core.shared.ids import ScheduleId, TaskId, UserId
from parlor.core.tasks.model import MANAGE, JsonObject, Order, Priority, Requester, Task

NAME_LENGTH = (1, 100)
MAX_CRON = 256
MAX_TIMEZONE = 64
MAX_SCHEDULES = 100


class InvalidCron(Invalid):
    """A cron line has five fields: minute, hour, day of the month, month, day of the week."""

    code = "invalid_cron"


class NeverDue(Invalid):
    """This cron line names days that no calendar has, such as 31 February."""

    code = "never_due"


class UnknownTimezone(Invalid):
    """There is no such time zone; IANA's names are known, such as Europe/Berlin."""

    code = "unknown_timezone"


class TooManySchedules(Conflict):
    """One may have 100 schedules at most."""

    code = "too_many_schedules"


class OwnerNeeded(Forbidden):
    """A schedule acts for a person, whose account is active."""

    code = "owner_needed"


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """What somebody wants done again and again."""

    name: str
    cron: str
    kind: str
    payload: JsonObject
    timezone: str = "UTC"
    priority: Priority = Priority.DEFAULT
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become different; None stays as it is. A payload is replaced as a whole, secret fields included."""

    name: str | None = None
    cron: str | None = None
    timezone: str | None = None
    kind: str | None = None
    payload: JsonObject | None = None
    priority: Priority | None = None
    enabled: bool | None = None


@dataclass(slots=True)
class Schedule:
    """One person's cron line. It has a next moment exactly while it is enabled."""

    id: ScheduleId
    owner_id: UserId
    name: str
    cron: str
    timezone: str
    kind: str
    payload: JsonObject
    created_at: datetime
    secrets: JsonObject | None = None
    priority: Priority = Priority.DEFAULT
    enabled: bool = True
    next_run_at: datetime | None = None
    last_run_at: datetime | None = None
    last_task_id: TaskId | None = None
    version: int = 1

    def must_be_visible(self, viewer: Actor) -> None:
        """Raise NotFound unless it is the viewer's own, or the viewer manages tasks."""
        if viewer.user_id != self.owner_id and not viewer.may(MANAGE):
            raise NotFound

    def change(self, changes: Changes) -> None:
        """Take over what does not need to be checked against the kind."""
        for name in ("name", "cron", "timezone", "priority", "enabled"):
            value = getattr(changes, name)
            if value is not None:
                setattr(self, name, value)

    def disable(self) -> None:
        """Let it rest until somebody enables it again."""
        self.enabled = False
        self.next_run_at = None

    def acting(self, permissions: frozenset[str]) -> Actor:
        """Speak of it as an actor, with what its owner may do."""
        return Actor(kind=ActorKind.SCHEDULE, id=self.id, user_id=self.owner_id, permissions=permissions)

    def fire(self, task_id: TaskId, at: datetime, *, following: datetime) -> Task:
        """Make the task of the moment that is due, and wait for the following one."""
        order = Order(self.kind, self.payload, self.secrets, self.priority, run_at=self.next_run_at)
        task = Task.ordered(task_id, order, Requester.of(self.acting(frozenset())))
        task.schedule_id = self.id
        self.last_run_at, self.last_task_id, self.next_run_at = at, task_id, following
        return task
