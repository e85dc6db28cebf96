"""Schedules as people make, change and end them."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parlor.adapters.cron import CronsimLines
from parlor.core.shared.actor import Actor, ActorKind, PermissionMissing
from parlor.core.shared.errors import Forbidden, IdempotencyKeyReused, Invalid, NotFound, Stale
from parlor.core.shared.ids import ScheduleId, uuid7
from parlor.core.shared.preconditions import Expected
from parlor.core.tasks.kinds import UnknownKind
from parlor.core.tasks.model import Priority
from parlor.core.tasks.schedules import (
    MAX_SCHEDULES,
    Changes,
    InvalidCron,
    NeverDue,
    OwnerNeeded,
    Schedule,
    TooManySchedules,
    UnknownTimezone,
)
from parlor.core.tasks.schedules_use_cases import Added, AddSchedule, ChangeSchedule, RemoveSchedule
from tests.builders import a_key, a_new_schedule, an_actor
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.tasks import kinds_that
from tests.fakes.work import FakeDatabase

CREATE, SECRET_NOTES, MANAGE = "tasks:create", "tasks:create:secret_note", "tasks:manage"
ADA = an_actor(CREATE)
MINUTE = timedelta(minutes=1)


@dataclass
class Schedules:
    """The three use cases over one store."""

    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.database = FakeDatabase(self.clock)
        parts = (self.database.work, kinds_that(), CronsimLines(), self.clock)
        self.add, self.change = AddSchedule(*parts), ChangeSchedule(*parts)
        self.remove = RemoveSchedule(self.database.work)

    @property
    def stored(self) -> list[Schedule]:
        return list(self.database.store.schedules.schedules.values())

    async def added(self, actor: Actor = ADA, **fields: Any) -> Schedule:
        schedule = (await self.add(actor, a_new_schedule(**fields))).schedule
        assert schedule is not None
        return schedule

    async def changed(self, schedule: Schedule, actor: Actor = ADA, **changes: Any) -> Schedule:
        return await self.change(actor, schedule.id, Changes(**changes))


@pytest.fixture
def schedules() -> Schedules:
    return Schedules()


# Made


async def test_a_schedule_is_its_makers_and_waits_for_its_next_moment(schedules: Schedules) -> None:
    new = a_new_schedule(
        name="Report",
        cron="30 7 * * *",
        timezone="Europe/Berlin",
        payload={"text": "hi", "password": "s"},
        priority=Priority.LOW,
    )
    added = await schedules.add(ADA, new)
    (stored,) = schedules.stored
    assert added == Added(stored.id, stored)
    assert stored == Schedule(
        id=stored.id,
        owner_id=ADA.user_id,  # type: ignore[arg-type]  # a person's
        name="Report",
        cron="30 7 * * *",
        timezone="Europe/Berlin",
        kind="note",
        payload={"text": "hi"},
        secrets={"password": "s"},
        priority=Priority.LOW,
        created_at=NOON,
        next_run_at=datetime(2026, 3, 2, 6, 30, tzinfo=UTC),
    )


async def test_without_more_a_schedule_is_enabled_and_in_utc(schedules: Schedules) -> None:
    stored = await schedules.added()
    assert (stored.timezone, stored.priority, stored.enabled) == ("UTC", Priority.DEFAULT, True)
    assert (stored.next_run_at, stored.last_run_at, stored.last_task_id) == (NOON + MINUTE, None, None)


async def test_a_disabled_one_has_no_next_moment(schedules: Schedules) -> None:
    assert (await schedules.added(enabled=False)).next_run_at is None


async def test_a_schedule_made_with_a_key_is_the_persons(schedules: Schedules) -> None:
    key = replace(ADA, kind=ActorKind.API_KEY, id=uuid7())
    assert (await schedules.added(key)).owner_id == ADA.user_id


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"cron": "* * * *"}, InvalidCron),
        ({"cron": "0 0 31 2 *"}, NeverDue),
        ({"cron": "0 0 31 2 *", "enabled": False}, NeverDue),
        ({"timezone": "Berlin"}, UnknownTimezone),
        ({"kind": "films"}, UnknownKind),
        ({"payload": {"text": 1}}, Invalid),
    ],
)
async def test_what_is_wrong_is_refused_before_anything_is_stored(
    schedules: Schedules, fields: dict[str, Any], error: type[Exception]
) -> None:
    """Also by somebody who may not: what is wrong is told first."""
    for actor in (ADA, an_actor()):
        with pytest.raises(error):
            await schedules.add(actor, a_new_schedule(**fields))
    assert schedules.stored == []


@pytest.mark.parametrize(
    ("held", "kind"), [((), "note"), ((SECRET_NOTES,), "secret_note"), ((CREATE,), "secret_note")]
)
async def test_making_one_needs_what_ordering_its_task_needs(
    schedules: Schedules, held: tuple[str, ...], kind: str
) -> None:
    with pytest.raises(PermissionMissing):
        await schedules.added(an_actor(*held), kind=kind)
    assert schedules.stored == []
    assert (await schedules.added(an_actor(CREATE, SECRET_NOTES), kind=kind)).kind == kind


async def test_a_schedule_needs_a_person(schedules: Schedules) -> None:
    with pytest.raises(OwnerNeeded):
        await schedules.added(Actor(ActorKind.SYSTEM, permissions=frozenset({CREATE})))


async def test_one_has_a_hundred_at_most(schedules: Schedules) -> None:
    for _ in range(MAX_SCHEDULES):
        await schedules.added()
    with pytest.raises(TooManySchedules):
        await schedules.added()
    await schedules.added(an_actor(CREATE))
    await schedules.remove(ADA, schedules.stored[0].id)
    await schedules.added()


async def test_the_same_request_again_is_the_same_schedule(schedules: Schedules) -> None:
    first = await schedules.add(ADA, a_new_schedule(), once=a_key())
    assert await schedules.add(ADA, a_new_schedule(), once=a_key()) == Added(first.schedule_id)
    assert len(schedules.stored) == 1
    with pytest.raises(IdempotencyKeyReused):
        await schedules.add(ADA, a_new_schedule(), once=a_key(fingerprint=b"other"))


# Changed


async def test_only_what_is_named_changes(schedules: Schedules) -> None:
    before = await schedules.added(payload={"text": "hi", "password": "s"})
    after = await schedules.changed(before, name="Other", priority=Priority.HIGH)
    assert after == replace(before, name="Other", priority=Priority.HIGH, version=2)
    assert schedules.stored == [after]


async def test_what_changes_nothing_keeps_the_version(schedules: Schedules) -> None:
    before = await schedules.added()
    for changes in (
        {},
        {"name": before.name, "enabled": True, "kind": "note"},
        {"payload": {"text": "hello"}},
    ):
        assert await schedules.changed(before, **changes) == before


@pytest.mark.parametrize(
    ("changes", "moment"),
    [
        ({"cron": "0 * * * *"}, "2026-03-01T13:00Z"),
        ({"timezone": "Asia/Kolkata", "cron": "0 * * * *"}, "2026-03-01T12:30Z"),
        ({"timezone": "Europe/Berlin"}, "2026-03-01T12:11Z"),
        ({"name": "Other"}, "2026-03-01T12:01Z"),
        ({"cron": "* * * * *", "payload": {}}, "2026-03-01T12:01Z"),
    ],
)
async def test_new_times_count_from_now_and_nothing_else_does(
    schedules: Schedules, changes: dict[str, Any], moment: str
) -> None:
    """What was due and not yet made stays due, unless the times change."""
    schedule = await schedules.added()
    schedules.clock.advance(minutes=10)
    assert (await schedules.changed(schedule, **changes)).next_run_at == datetime.fromisoformat(moment)


async def test_a_rest_ends_where_the_clock_stands_then(schedules: Schedules) -> None:
    schedule = await schedules.added()
    resting = await schedules.changed(schedule, enabled=False, cron="*/5 * * * *")
    assert (resting.enabled, resting.next_run_at) == (False, None)
    schedules.clock.advance(hours=3, minutes=2)
    woken = await schedules.changed(schedule, enabled=True)
    assert woken.next_run_at == NOON + timedelta(hours=3, minutes=5)


async def test_a_new_payload_takes_the_place_of_the_whole_old_one(schedules: Schedules) -> None:
    schedule = await schedules.added(payload={"text": "hi", "password": "s"})
    changed = await schedules.changed(schedule, payload={"password": "other"})
    assert (changed.payload, changed.secrets) == ({"text": "hello"}, {"password": "other"})
    changed = await schedules.changed(schedule, payload={"text": "bare"})
    assert (changed.payload, changed.secrets) == ({"text": "bare"}, None)


async def test_secrets_stay_while_the_payload_does(schedules: Schedules) -> None:
    schedule = await schedules.added(payload={"password": "s"})
    assert (await schedules.changed(schedule, kind="note", name="Other")).secrets == {"password": "s"}


async def test_secrets_never_move_to_another_kind(schedules: Schedules) -> None:
    """There a field of the same name might be shown."""
    ada = an_actor(CREATE, SECRET_NOTES)
    schedule = await schedules.added(ada, payload={"text": "hi", "password": "s"})
    changed = await schedules.changed(schedule, ada, kind="secret_note")
    assert (changed.kind, changed.payload, changed.secrets) == ("secret_note", {"text": "hi"}, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"cron": "61 * * * *"},
        {"cron": "0 0 30 2 *"},
        {"timezone": "Mars"},
        {"kind": "films"},
        {"payload": {"more": 1}},
    ],
)
async def test_a_change_is_checked_like_a_new_schedule(schedules: Schedules, changes: dict[str, Any]) -> None:
    before = await schedules.added()
    with pytest.raises(Invalid):
        await schedules.changed(before, name="Other", **changes)
    assert schedules.stored == [before]


@pytest.mark.parametrize(
    ("held", "changes"),
    [
        ((), {"payload": {"text": "other"}}),
        ((CREATE,), {"kind": "secret_note"}),
        ((CREATE,), {"kind": "secret_note", "payload": {}}),
        ((SECRET_NOTES,), {"kind": "secret_note"}),
    ],
)
async def test_a_new_payload_or_kind_needs_the_rights_of_a_new_schedule(
    schedules: Schedules, held: tuple[str, ...], changes: dict[str, Any]
) -> None:
    before = await schedules.added()
    with pytest.raises(PermissionMissing):
        await schedules.changed(before, replace(ADA, permissions=frozenset(held)), **changes)
    assert schedules.stored == [before]


async def test_the_rest_may_be_changed_without_them(schedules: Schedules) -> None:
    schedule = await schedules.added()
    powerless = replace(ADA, permissions=frozenset())
    changed = await schedules.changed(schedule, powerless, enabled=False, name="Other", cron="0 * * * *")
    assert (changed.enabled, changed.name, changed.cron) == (False, "Other", "0 * * * *")


# Whose, and as it was when one read it


async def test_a_strangers_schedule_is_not_there(schedules: Schedules) -> None:
    """Whatever else is wrong with the request."""
    schedule = await schedules.added()
    for bob in (an_actor(CREATE), Actor(ActorKind.PRODUCER, permissions=frozenset({CREATE}))):
        with pytest.raises(NotFound):
            await schedules.changed(schedule, bob, kind="films")
        with pytest.raises(NotFound):
            await schedules.remove(bob, schedule.id, expected=Expected(frozenset({9})))
    with pytest.raises(NotFound):
        await schedules.remove(ADA, ScheduleId(uuid7()))
    assert schedules.stored == [schedule]


async def test_who_manages_tasks_changes_and_ends_everybodys(schedules: Schedules) -> None:
    schedule, manager = await schedules.added(), an_actor(MANAGE)
    changed = await schedules.changed(schedule, manager, enabled=False)
    assert (changed.enabled, changed.owner_id) == (False, ADA.user_id)
    await schedules.remove(manager, schedule.id)
    assert schedules.stored == []


@pytest.mark.parametrize("versions", [frozenset({1}), frozenset({7, 1}), None])
async def test_a_version_that_is_expected_is_changed_and_removed(
    schedules: Schedules, versions: frozenset[int] | None
) -> None:
    schedule, expected = await schedules.added(), Expected(versions)
    changed = await schedules.change(ADA, schedule.id, Changes(name="Other"), expected=expected)
    assert changed.version == 2
    await schedules.remove(ADA, (await schedules.added()).id, expected=expected)
    assert schedules.stored == [changed]


@pytest.mark.parametrize("versions", [frozenset({2}), frozenset[int]()])
async def test_another_version_is_left_alone(schedules: Schedules, versions: frozenset[int]) -> None:
    """Also where the change would change nothing; but what is forbidden is told first."""
    schedule, expected = await schedules.added(), Expected(versions)
    for changes in (Changes(name="Other"), Changes()):
        with pytest.raises(Stale):
            await schedules.change(ADA, schedule.id, changes, expected=expected)
    with pytest.raises(Stale):
        await schedules.remove(ADA, schedule.id, expected=expected)
    with pytest.raises(Forbidden):
        await schedules.change(ADA, schedule.id, Changes(kind="secret_note"), expected=expected)
    assert schedules.stored == [schedule]
