"""The command ports of schedules in memory."""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime

from parlor.core.identity.model import UserStatus
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import ScheduleId, UserId
from parlor.core.tasks.schedules import MAX_SCHEDULES, Schedule, TooManySchedules
from tests.fakes.identity import IdentityStore

FIRED = ("enabled", "next_run_at", "last_run_at", "last_task_id")


@dataclass(slots=True)
class ScheduleStore:
    """Rows by their id."""

    schedules: dict[ScheduleId, Schedule] = field(default_factory=dict)


class FakeSchedules:
    """Port Schedules."""

    def __init__(self, store: ScheduleStore) -> None:
        self._rows = store.schedules

    async def add(self, schedule: Schedule) -> None:
        if sum(row.owner_id == schedule.owner_id for row in self._rows.values()) >= MAX_SCHEDULES:
            raise TooManySchedules
        self._rows[schedule.id] = deepcopy(schedule)

    async def get(self, schedule_id: ScheduleId) -> Schedule:
        if schedule_id not in self._rows:
            raise NotFound
        return deepcopy(self._rows[schedule_id])

    async def save(self, schedule: Schedule) -> None:
        stored = self._rows.get(schedule.id)
        if stored is None or stored.version != schedule.version:
            raise Contended("schedules.version")
        schedule.version += 1
        self._rows[schedule.id] = deepcopy(schedule)

    async def remove(self, schedule_id: ScheduleId) -> None:
        self._rows.pop(schedule_id, None)

    async def remove_all(self, owner_id: UserId) -> None:
        for schedule_id in [row.id for row in self._rows.values() if row.owner_id == owner_id]:
            del self._rows[schedule_id]

    async def due(self, now: datetime, *, kinds: Collection[str], limit: int) -> Sequence[Schedule]:
        found = [
            (row.next_run_at, row.id, row)
            for row in self._rows.values()
            if row.next_run_at is not None and row.next_run_at <= now and row.kind in kinds
        ]
        return [deepcopy(row) for _, _, row in sorted(found, key=lambda one: one[:2])[:limit]]

    async def record(self, fired: Sequence[Schedule]) -> None:
        for schedule in fired:
            row = self._rows[schedule.id]
            for name in FIRED:
                setattr(row, name, getattr(schedule, name))
            row.version += not schedule.enabled


class FakeOwners:
    """Port Owners."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def permissions(self, owner_ids: Collection[UserId]) -> Mapping[UserId, frozenset[str]]:
        found = (self._store.users[one] for one in owner_ids if one in self._store.users)
        return {
            user.id: frozenset[str]().union(*(self._store.roles[role].permissions for role in user.roles))
            for user in found
            if user.status is UserStatus.ACTIVE
        }
