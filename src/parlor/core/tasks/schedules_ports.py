"""What schedules need from the world."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from parlor.core.shared.actor import Actor
from parlor.core.shared.ids import ScheduleId, UserId
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.tasks.ports import TaskWork
from parlor.core.tasks.schedules import Schedule


class CronLines(Protocol):
    """Reads cron lines in time zones: a line names local minutes, and each of them is due once.

    A local minute that comes twice is due the first time; one that is left out is due at the next that exists, and
    several such at that one together.
    """

    def check(self, line: str | None, timezone: str | None) -> None:
        """Raises InvalidCron, NeverDue, UnknownTimezone; what is None is not looked at."""
        ...

    def next_after(self, line: str, timezone: str, moment: datetime) -> datetime:
        """Answer the first due moment later than `moment`, in UTC. Raises as `check` does."""
        ...


class Schedules(Protocol):
    """Schedules, for commands."""

    async def add(self, schedule: Schedule) -> None:
        """Store it. Raises TooManySchedules, also when its owner adds several at once."""
        ...

    async def get(self, schedule_id: ScheduleId) -> Schedule:
        """Raises NotFound. The row stays locked until the transaction ends."""
        ...

    async def save(self, schedule: Schedule) -> None:
        """Raise the version, and store. Raises Contended when somebody else did first."""
        ...

    async def remove(self, schedule_id: ScheduleId) -> None:
        """Delete it; the tasks that it made stay."""
        ...

    async def remove_all(self, owner_id: UserId) -> None:
        """Delete all that this person has, 100 at most."""
        ...

    async def due(self, now: datetime, *, kinds: Collection[str], limit: int) -> Sequence[Schedule]:
        """Find and lock schedules of these kinds whose moment has come, the longest due first.

        Those that another transaction has locked are not waited for.
        """
        ...

    async def record(self, fired: Sequence[Schedule]) -> None:
        """Store what firing made of them. Only one that it disabled gets a new version."""
        ...


class Owners(Protocol):
    """The people whom schedules act for."""

    async def permissions(self, owner_ids: Collection[UserId]) -> Mapping[UserId, frozenset[str]]:
        """Answer what each of them may do right now; who is disabled or gone is not in the answer."""
        ...


class ScheduleWork(TaskWork, Protocol):
    """A transaction over schedules and the tasks that they make."""

    @property
    def schedules(self) -> Schedules: ...

    @property
    def owners(self) -> Owners: ...


class ScheduleViews(Protocol):
    """Schedules as JSON, for readers: what the viewer may not see is not there."""

    async def one(self, viewer: Actor, schedule_id: ScheduleId) -> bytes:
        """Raises NotFound."""
        ...

    async def page(self, viewer: Actor, page: PageRequest) -> Page[bytes]: ...
