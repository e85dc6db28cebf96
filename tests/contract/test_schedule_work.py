"""Ports Schedules and Owners: one test body over memory and PostgreSQL."""

import asyncio
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parlor.core.identity.model import UserStatus
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import ScheduleId, TaskId, UserId, uuid7
from parlor.core.tasks.model import Priority
from parlor.core.tasks.schedules import MAX_SCHEDULES, Schedule, TooManySchedules
from tests.builders import a_schedule, a_user
from tests.contract.backends import Backend
from tests.fakes.clock import NOON

EVERY_FIELD: dict[str, Any] = {
    "id": ScheduleId(uuid7()),
    "owner_id": UserId(uuid7()),
    "name": "Nightly",
    "cron": "0 3 * * *",
    "timezone": "Europe/Berlin",
    "kind": "other",
    "payload": {"deep": [1, {"x": None}]},
    "secrets": {"password": "s"},
    "priority": Priority.HIGH,
    "enabled": False,
    "created_at": NOON - timedelta(days=1),
    "next_run_at": None,
    "last_run_at": NOON + timedelta(microseconds=1),
    "last_task_id": TaskId(uuid7()),
    "version": 7,
}


async def added(backend: Backend, *schedules: Schedule) -> None:
    for schedule in schedules:
        async with backend.work() as work:
            await work.schedules.add(schedule)


async def found(backend: Backend, schedule_id: ScheduleId) -> Schedule:
    async with backend.work() as work:
        return await work.schedules.get(schedule_id)


async def due(backend: Backend, now: datetime = NOON, *kinds: str, limit: int = 10) -> list[ScheduleId]:
    async with backend.work() as work:
        return [one.id for one in await work.schedules.due(now, kinds=kinds or {"note"}, limit=limit)]


async def test_every_field_comes_back(backend: Backend) -> None:
    schedule, plain = Schedule(**EVERY_FIELD), a_schedule()
    assert [
        one.name for one in fields(Schedule) if getattr(schedule, one.name) == getattr(plain, one.name)
    ] == []
    await added(backend, schedule, plain)
    assert await found(backend, schedule.id) == schedule
    assert await found(backend, plain.id) == plain


async def test_every_field_that_can_change_is_saved_under_a_new_version(backend: Backend) -> None:
    schedule = a_schedule()
    await added(backend, schedule)
    kept = {"id": schedule.id, "version": 1}
    changed = Schedule(**EVERY_FIELD | kept)
    async with backend.work() as work:
        await work.schedules.save(changed)
    assert changed.version == 2
    assert await found(backend, schedule.id) == changed


async def test_a_version_that_somebody_else_has_changed_is_not_overwritten(backend: Backend) -> None:
    schedule = a_schedule()
    await added(backend, schedule)
    mine = replace(schedule, name="Mine")
    async with backend.work() as work:
        await work.schedules.save(replace(schedule, name="Theirs"))
    with pytest.raises(Contended):
        async with backend.work() as work:
            await work.schedules.save(mine)
    assert (await found(backend, schedule.id)).name == "Theirs"


async def test_a_removed_schedule_is_not_found(backend: Backend) -> None:
    schedule, other = a_schedule(), a_schedule()
    await added(backend, schedule, other)
    async with backend.work() as work:
        await work.schedules.remove(schedule.id)
        await work.schedules.remove(ScheduleId(uuid7()))
    with pytest.raises(NotFound):
        await found(backend, schedule.id)
    assert await found(backend, other.id) == other


async def test_an_exception_leaves_no_trace(backend: Backend) -> None:
    schedule, kept = a_schedule(), a_schedule()
    await added(backend, kept)

    async def fail() -> None:
        async with backend.work() as work:
            await work.schedules.add(schedule)
            await work.schedules.save(replace(kept, name="Other"))
            await work.schedules.record([replace(kept, next_run_at=None, enabled=False)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    with pytest.raises(NotFound):
        await found(backend, schedule.id)
    assert await found(backend, kept.id) == kept


async def test_one_owner_has_a_hundred_at_most_also_when_several_are_added_at_once(backend: Backend) -> None:
    owner = UserId(uuid7())
    await added(backend, *(a_schedule(owner_id=owner) for _ in range(MAX_SCHEDULES - 2)))
    more = [a_schedule(owner_id=owner) for _ in range(6)]
    outcomes = await asyncio.gather(*(added(backend, one) for one in more), return_exceptions=True)
    assert sorted(map(type, outcomes), key=str) == [type(None)] * 2 + [TooManySchedules] * 4
    await added(backend, a_schedule())


async def test_what_is_due_is_found_the_longest_due_first(backend: Backend) -> None:
    minutes = [timedelta(minutes=n) for n in (2, 5, 1)]
    schedules = [a_schedule(next_run_at=NOON - minute) for minute in minutes]
    await added(
        backend,
        *schedules,
        a_schedule(next_run_at=NOON + timedelta(microseconds=1)),
        a_schedule(enabled=False),
    )
    in_order = [schedules[1].id, schedules[0].id, schedules[2].id]
    assert await due(backend) == in_order
    assert await due(backend, limit=2) == in_order[:2]
    assert await due(backend, NOON - timedelta(minutes=2)) == in_order[:2]


async def test_only_the_kinds_that_are_asked_for_are_found(backend: Backend) -> None:
    notes, others = a_schedule(), a_schedule(kind="other")
    await added(backend, notes, others)
    assert await due(backend, NOON, "note") == [notes.id]
    assert await due(backend, NOON, "other", "third") == [others.id]
    assert await due(backend, NOON, "third") == []


async def test_what_firing_made_of_them_is_recorded(backend: Backend) -> None:
    """Only one that was disabled gets a new version; what people edit is left as it is."""
    fired, disabled, other = a_schedule(), a_schedule(), a_schedule()
    await added(backend, fired, disabled, other)
    later = datetime(2026, 3, 1, 12, 1, tzinfo=UTC)
    news = replace(fired, name="x", next_run_at=later, last_run_at=NOON, last_task_id=TaskId(uuid7()))
    rests = replace(disabled, name="x", enabled=False, next_run_at=None)
    async with backend.work() as work:
        await work.schedules.record([news, rests])
    assert await found(backend, fired.id) == replace(news, name=fired.name)
    assert await found(backend, disabled.id) == replace(rests, name=disabled.name, version=2)
    assert await found(backend, other.id) == other


async def test_owners_are_told_with_what_they_may_do_unless_disabled_or_gone(backend: Backend) -> None:
    user, powerless = a_user(roles=frozenset({"user"})), a_user(roles=frozenset[str]())
    disabled = a_user(roles=frozenset({"user"}), status=UserStatus.DISABLED)
    async with backend.work() as work:
        for one in (user, powerless, disabled):
            await work.users.add(one)
    async with backend.work() as work:
        asked = {user.id, powerless.id, disabled.id, UserId(uuid7())}
        told = await work.owners.permissions(asked)
    assert told == {user.id: frozenset({"tasks:create"}), powerless.id: frozenset()}


async def test_all_of_one_owner_are_removed(backend: Backend) -> None:
    mine, also_mine, theirs = a_schedule(), a_schedule(), a_schedule()
    also_mine.owner_id = mine.owner_id
    await added(backend, mine, also_mine, theirs)
    async with backend.work() as work:
        await work.schedules.remove_all(mine.owner_id)
    for gone in (mine, also_mine):
        with pytest.raises(NotFound):
            await found(backend, gone.id)
    assert (await found(backend, theirs.id)).id == theirs.id
