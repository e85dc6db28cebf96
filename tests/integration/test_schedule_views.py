"""Schedules as readers see them: whose, page by page, in the bytes that go out."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.schedules import SqlScheduleViews
from parlor.core.shared.actor import SYSTEM, Actor, ActorKind
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ScheduleId, TaskId, uuid7
from parlor.core.shared.paging import Key, PageRequest
from parlor.core.tasks.model import MANAGE, Priority
from parlor.core.tasks.schedules import Schedule
from tests.builders import a_schedule, an_actor
from tests.fakes.clock import NOON
from tests.sql import Sql

ADA, BOB, MANAGER = an_actor(), an_actor(), an_actor(MANAGE)
ADAS_KEY = Actor(ActorKind.API_KEY, id=uuid7(), user_id=ADA.user_id)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def shown(database: Database) -> SqlScheduleViews:
    return SqlScheduleViews(database)


async def added(sql: Sql, **fields: object) -> Schedule:
    schedule = a_schedule(**{"owner_id": ADA.user_id} | fields)
    async with sql.work() as work:
        await work.schedules.add(schedule)
    return schedule


async def page(
    shown: SqlScheduleViews, viewer: Actor, *, limit: int = 50, after: Key | None = None
) -> tuple[list[UUID], Key | None]:
    answer = await shown.page(viewer, PageRequest(limit, after))
    return [UUID(item["id"]) for item in json.loads(answer.items)], answer.next_key


async def test_a_schedule_is_seen_by_its_owner_and_by_managers(sql: Sql, shown: SqlScheduleViews) -> None:
    schedule = await added(sql)
    for viewer in (ADA, ADAS_KEY, MANAGER):
        assert json.loads(await shown.one(viewer, schedule.id))["id"] == str(schedule.id)
        assert await page(shown, viewer) == ([schedule.id], None)
    for viewer in (BOB, SYSTEM, Actor(ActorKind.API_KEY, id=ADA.id)):
        with pytest.raises(NotFound):
            await shown.one(viewer, schedule.id)
        assert await page(shown, viewer) == ([], None)
    with pytest.raises(NotFound):
        await shown.one(MANAGER, ScheduleId(uuid7()))


async def test_every_field_is_shown_but_the_secret_ones(sql: Sql, shown: SqlScheduleViews) -> None:
    task_id = TaskId(uuid7())
    schedule = await added(
        sql,
        name='Näh "it"',
        timezone="Europe/Berlin",
        payload={"text": "hi", "version": 9},
        secrets={"password": "s"},
        priority=Priority.LOW,
        last_run_at=NOON - timedelta(minutes=1),
        last_task_id=task_id,
        version=4,
    )
    written = await shown.one(ADA, schedule.id)
    assert json.loads(written) == {
        "id": str(schedule.id),
        "name": 'Näh "it"',
        "cron": "* * * * *",
        "timezone": "Europe/Berlin",
        "kind": "note",
        "payload": {"text": "hi", "version": 9},
        "priority": "low",
        "enabled": True,
        "next_run_at": "2026-03-01T12:00:00.000000Z",
        "last_run_at": "2026-03-01T11:59:00.000000Z",
        "last_task_id": str(task_id),
        "version": 4,
    }
    assert list(json.loads(written))[-1] == "version", "the entity tag is read from the end"


async def test_one_that_rests_and_never_ran_shows_nulls(sql: Sql, shown: SqlScheduleViews) -> None:
    schedule = await added(sql, enabled=False)
    view = json.loads(await shown.one(ADA, schedule.id))
    assert [view[name] for name in ("next_run_at", "last_run_at", "last_task_id")] == [None] * 3


@pytest.mark.parametrize("viewer", [ADA, MANAGER], ids=["owner", "manager"])
async def test_pages_hold_each_schedule_once_the_newest_first(
    sql: Sql, shown: SqlScheduleViews, viewer: Actor
) -> None:
    """Also where several were made in the same moment, and while new ones are made."""
    made = [(await added(sql, created_at=NOON + timedelta(minutes=n // 3))).id for n in range(8)]
    other = (await added(sql, owner_id=BOB.user_id)).id
    seen: list[UUID] = []
    after: Key | None = None
    while True:
        ids, after = await page(shown, viewer, limit=3, after=after)
        seen += ids
        await added(sql, created_at=NOON + timedelta(days=1))
        if after is None:
            break
    expected = sorted(made, key=lambda one: (made.index(one) // 3, one), reverse=True)
    assert [one for one in seen if one != other] == expected
    assert (other in seen) == (viewer is MANAGER)
