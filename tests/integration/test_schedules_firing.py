"""Timers of several processes over one PostgreSQL: each due moment makes one task."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from parlor.adapters.cron import CronsimLines
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.work import SqlWork
from parlor.core.identity.model import User
from parlor.core.shared.ids import ScheduleId
from parlor.core.tasks.schedules import Changes, Schedule
from parlor.core.tasks.schedules_firing import FireSchedules
from parlor.core.tasks.schedules_use_cases import ChangeSchedule
from tests.builders import a_schedule, a_user, an_actor
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.tasks import kinds_that
from tests.sql import Sql
from tests.waiting import eventually

MINUTE = timedelta(minutes=1)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
async def ada(sql: Sql) -> User:
    user = a_user(roles=frozenset({"user"}))
    async with sql.work() as work:
        await work.users.add(user)
    return user


def timers(sql: Sql, clock: FakeClock) -> FireSchedules:
    return FireSchedules(sql.work, kinds_that(), CronsimLines(), clock)


async def added(sql: Sql, *schedules: Schedule) -> Sequence[Schedule]:
    async with sql.work() as work:
        for schedule in schedules:
            await work.schedules.add(schedule)
    return schedules


async def made(sql: Sql) -> list[dict[str, Any]]:
    return await sql.rows("select * from tasks order by run_at, id")


async def next_run_at(sql: Sql, schedule_id: ScheduleId) -> object:
    return await sql.value("select next_run_at from schedules where id = $1", schedule_id)


async def test_each_moment_makes_one_task_however_many_timers_run(sql: Sql, ada: User) -> None:
    """Eight timers whose clocks run a little apart, in small batches, while the minutes pass."""
    schedules = await added(sql, *(a_schedule(owner_id=ada.id) for _ in range(30)))
    clocks = [FakeClock(NOON + timedelta(seconds=n / 2)) for n in range(8)]

    async def look(clock: FakeClock) -> None:
        fire = timers(sql, clock)
        for _ in range(6):
            for _ in range(len(schedules)):
                await fire(limit=7)
            clock.now += timedelta(seconds=20)

    await asyncio.gather(*map(look, clocks))
    await asyncio.gather(*(timers(sql, clock)(limit=100) for clock in clocks))
    found = Counter((row["schedule_id"], row["run_at"]) for row in await made(sql))
    moments = {(one.id, NOON + n * MINUTE) for one in schedules for n in range(3)}
    assert found == Counter(moments)


async def test_task_outbox_row_and_next_moment_are_one_commit(sql: Sql, ada: User) -> None:
    (schedule,) = await added(sql, a_schedule(owner_id=ada.id, secrets={"password": "s"}))
    (task,) = (await timers(sql, FakeClock())(limit=10)).tasks
    assert await sql.outbox() == [task.id]
    assert sql.hints.tasks == 1
    (row,) = await made(sql)
    assert (row["schedule_id"], row["requester_kind"], row["requester_id"], row["user_id"]) == (
        schedule.id,
        "schedule",
        schedule.id,
        ada.id,
    )
    assert (row["status"], row["run_at"], row["secrets"]) == ("queued", NOON, {"password": "s"})
    assert await next_run_at(sql, schedule.id) == NOON + MINUTE


class Crash(BaseException):
    """As if the process ended here."""


async def test_a_crash_before_the_commit_neither_loses_nor_doubles(sql: Sql, ada: User) -> None:
    (schedule,) = await added(sql, a_schedule(owner_id=ada.id))

    class Crashing(SqlWork):
        async def _complete(self) -> None:
            await self.tasks.flush(await self.session())
            raise Crash

    def work() -> SqlWork:
        return Crashing(sql.database, sql.changes, sql.hints, {})

    crashing = FireSchedules(work, kinds_that(), CronsimLines(), FakeClock())
    with pytest.raises(Crash):
        await crashing(limit=10)
    assert await made(sql) == []
    assert await sql.outbox() == []
    assert await next_run_at(sql, schedule.id) == NOON
    for _ in range(2):
        await timers(sql, FakeClock())(limit=10)
    assert [row["run_at"] for row in await made(sql)] == [NOON]


async def test_missed_moments_are_made_up_for_once(sql: Sql, ada: User) -> None:
    """A day in which nobody looked, and then four timers at once."""
    (schedule,) = await added(sql, a_schedule(owner_id=ada.id))
    clock = FakeClock(NOON + timedelta(days=1, seconds=10))
    await asyncio.gather(*(timers(sql, clock)(limit=10) for _ in range(4)))
    assert [row["run_at"] for row in await made(sql)] == [NOON]
    assert await next_run_at(sql, schedule.id) == NOON + timedelta(days=1, minutes=1)


async def test_one_that_somebody_is_changing_is_not_waited_for(sql: Sql, ada: User) -> None:
    held, free = await added(sql, a_schedule(owner_id=ada.id), a_schedule(owner_id=ada.id))
    async with sql.work() as work:
        await work.schedules.get(held.id)
        fired = await timers(sql, FakeClock())(limit=10)
        assert [task.schedule_id for task in fired.tasks] == [free.id]
    assert (await timers(sql, FakeClock())(limit=10)).schedules == 1


async def test_a_change_waits_for_the_firing_and_overwrites_nothing_of_it(sql: Sql, ada: User) -> None:
    (schedule,) = await added(sql, a_schedule(owner_id=ada.id))
    change = ChangeSchedule(sql.work, kinds_that(), CronsimLines(), FakeClock())
    async with sql.work() as work:
        (due,) = await work.schedules.due(NOON, kinds={"note"}, limit=10)
        changing = asyncio.create_task(change(an_actor(user_id=ada.id), schedule.id, Changes(name="Other")))
        await eventually(sql.all_wait(1))
        await work.schedules.record([_fired(due)])
    changed = await changing
    assert (changed.name, changed.next_run_at) == ("Other", NOON + MINUTE)
    assert (await sql.value("select last_task_id from schedules")) == changed.last_task_id


def _fired(schedule: Schedule) -> Schedule:
    schedule.fire(_task_id(), NOON, following=NOON + MINUTE)
    return schedule


def _task_id() -> Any:
    return UUID(int=7)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("update users set status = 'disabled'", "owner_needed"),
        ("delete from user_roles", "permission_missing"),
        ("update roles set permissions = '{}' where name = 'user'", "permission_missing"),
        ("delete from users", "owner_needed"),
    ],
)
async def test_what_the_owner_may_do_counts_when_it_fires(
    sql: Sql, ada: User, statement: str, reason: str
) -> None:
    (schedule,) = await added(sql, a_schedule(owner_id=ada.id))
    await sql.execute(statement)
    assert (await timers(sql, FakeClock())(limit=10)).disabled == {schedule.id: reason}
    assert await made(sql) == []
    (row,) = await sql.rows("select enabled, next_run_at, version from schedules")
    assert row == {"enabled": False, "next_run_at": None, "version": 2}


async def test_what_is_due_is_found_by_its_index_among_many_that_are_not(sql: Sql, ada: User) -> None:
    await sql.execute(
        """insert into schedules (id, owner_id, name, cron, timezone, kind, payload, priority, enabled, created_at,
                                  next_run_at, version)
           select gen_random_uuid(), $1, 'n', '0 0 1 1 *', 'UTC', 'note', '{}', 'default', true, now(),
                  now() + interval '1 year', 1 from generate_series(1, 20000)""",
        ada.id,
    )
    await sql.execute("analyze schedules")
    plan = await sql.rows(
        """explain select * from schedules where next_run_at <= now() and kind = any(array['note'])
            order by next_run_at, id limit 100 for no key update skip locked"""
    )
    assert "ix_schedules_due" in str(plan)
