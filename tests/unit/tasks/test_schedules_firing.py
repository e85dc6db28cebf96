"""FireSchedules: one task for each moment that is due, by what the owner may do then."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from parlor.adapters.cron import CronsimLines
from parlor.core.identity.model import UserStatus
from parlor.core.shared.actor import ActorKind
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.tasks.model import Priority, Requester, Task, TaskStatus
from parlor.core.tasks.schedules import Schedule
from parlor.core.tasks.schedules_firing import FireSchedules
from tests.builders import a_schedule, a_user
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.tasks import kinds_that
from tests.fakes.work import FakeDatabase

MINUTE = timedelta(minutes=1)


@dataclass
class Timers:
    """One process's timers over a store."""

    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.database = FakeDatabase(self.clock)
        self.fire = FireSchedules(self.database.work, kinds_that(), CronsimLines(), self.clock)
        self.ada = a_user(roles=frozenset({"user"}))
        self.database.store.identity.users[self.ada.id] = self.ada

    def add(self, **fields: Any) -> Schedule:
        schedule = a_schedule(**{"owner_id": self.ada.id} | fields)
        self.database.store.schedules.schedules[schedule.id] = schedule
        return schedule

    def now(self, schedule: Schedule) -> Schedule:
        return self.database.store.schedules.schedules[schedule.id]

    @property
    def tasks(self) -> list[Task]:
        return list(self.database.store.tasks.tasks.values())


@pytest.fixture
def timers() -> Timers:
    return Timers()


async def test_a_due_schedule_makes_its_task_in_its_owners_name(timers: Timers) -> None:
    schedule = timers.add(payload={"text": "hi"}, secrets={"password": "s"}, priority=Priority.HIGH)
    timers.clock.advance(seconds=0.4)
    fired = await timers.fire(limit=10)
    (task,) = timers.tasks
    assert fired.tasks == [task]
    assert task.requested_by == Requester(ActorKind.SCHEDULE, id=schedule.id, user_id=timers.ada.id)
    assert (task.kind, task.payload, task.secrets) == ("note", {"text": "hi"}, {"password": "s"})
    assert (task.priority, task.schedule_id, task.run_at) == (Priority.HIGH, schedule.id, NOON)
    assert task.status is TaskStatus.QUEUED


async def test_a_schedule_that_fired_waits_for_the_following_moment(timers: Timers) -> None:
    schedule = timers.add(secrets={"password": "s"})
    timers.clock.advance(seconds=0.4)
    await timers.fire(limit=10)
    now = timers.now(schedule)
    assert (now.next_run_at, now.last_run_at) == (NOON + MINUTE, timers.clock())
    assert (now.last_task_id, now.secrets) == (timers.tasks[0].id, {"password": "s"})
    assert now.version == 1, "what people edit did not change"
    assert (await timers.fire(limit=10)).schedules == 0


async def test_what_is_not_yet_due_and_what_rests_makes_nothing(timers: Timers) -> None:
    timers.add(next_run_at=NOON + timedelta(microseconds=1))
    timers.add(enabled=False)
    assert (await timers.fire(limit=10)).schedules == 0
    assert timers.tasks == []


async def test_moments_that_nobody_was_there_for_are_made_up_for_once(timers: Timers) -> None:
    schedule = timers.add()
    timers.clock.advance(hours=5, seconds=30)
    for _ in range(3):
        await timers.fire(limit=10)
    assert len(timers.tasks) == 1
    assert timers.now(schedule).next_run_at == NOON + timedelta(hours=5, minutes=1)


async def test_a_batch_takes_the_longest_due_first(timers: Timers) -> None:
    due = [timers.add(next_run_at=NOON - timedelta(minutes=n)) for n in range(5)]
    fired = await timers.fire(limit=2)
    assert [task.schedule_id for task in fired.tasks] == [due[4].id, due[3].id]
    assert (await timers.fire(limit=10)).schedules == 3


@pytest.mark.parametrize(
    ("owner", "fields", "reason"),
    [
        ({"status": UserStatus.DISABLED}, {}, "owner_needed"),
        ({"roles": frozenset[str]()}, {}, "permission_missing"),
        ({}, {"kind": "secret_note"}, "permission_missing"),
        ({}, {"owner_id": UserId(uuid7())}, "owner_needed"),
        ({}, {"cron": "0 0 31 2 *"}, "never_due"),
        ({}, {"timezone": "Mars/Olympus"}, "unknown_timezone"),
    ],
)
async def test_a_schedule_that_may_or_can_no_longer_is_disabled_and_hinders_nobody(
    timers: Timers, owner: dict[str, Any], fields: dict[str, Any], reason: str
) -> None:
    bob = a_user(**{"roles": frozenset({"user"})} | owner)
    timers.database.store.identity.users[bob.id] = bob
    broken = timers.add(**{"owner_id": bob.id, "next_run_at": NOON - MINUTE} | fields)
    sound = timers.add()
    fired = await timers.fire(limit=10)
    assert fired.disabled == {broken.id: reason}
    assert [task.schedule_id for task in timers.tasks] == [sound.id]
    now = timers.now(broken)
    assert (now.enabled, now.next_run_at, now.last_task_id, now.version) == (False, None, None, 2)


async def test_a_kind_that_this_process_does_not_know_is_left_to_others(timers: Timers) -> None:
    unknown = timers.add(kind="films", next_run_at=NOON - MINUTE)
    sound = timers.add()
    await timers.fire(limit=1)
    assert [task.schedule_id for task in timers.tasks] == [sound.id]
    assert timers.now(unknown).next_run_at == NOON - MINUTE


async def test_a_payload_that_is_no_longer_valid_is_the_tasks_to_tell(timers: Timers) -> None:
    """Its run ends as `invalid_payload`, where the owner looks; the next moment comes all the same."""
    schedule = timers.add(payload={"no": "longer"})
    await timers.fire(limit=10)
    assert timers.tasks[0].payload == {"no": "longer"}
    assert timers.now(schedule).enabled


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 1)), min_size=1, max_size=30))
async def test_however_often_and_by_whichever_clock_they_look_each_moment_is_made_once(
    looks: list[tuple[int, int]],
) -> None:
    """Two processes whose clocks differ by three seconds."""
    timers = Timers()
    timers.add()
    for seconds, skewed in looks:
        timers.clock.advance(seconds=seconds)
        timers.clock.now += timedelta(seconds=3 * skewed)
        await timers.fire(limit=10)
        timers.clock.now -= timedelta(seconds=3 * skewed)
    moments = [task.run_at for task in timers.tasks]
    assert len(set(moments)) == len(moments)
    assert all(
        isinstance(moment, datetime) and moment <= timers.clock() + timedelta(seconds=3) for moment in moments
    )
