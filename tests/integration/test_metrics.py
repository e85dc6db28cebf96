"""What the database says on the page for Prometheus, and the page where it does not answer."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families as as_text

from parlor.adapters.sql import vitals
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.errors import PoolExhausted
from parlor.adapters.sql.vitals import SqlVitals
from parlor.adapters.surveys import Surveys
from parlor.container import make_container
from parlor.core.identity.events import UserRegistered
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.shared.meters import ONE, Level, Meters, MetersPage, Readings
from parlor.core.tasks.model import TaskStatus
from parlor.wiring.modes import Mode
from tests.builders import a_letter, a_task
from tests.fakes.container import settings_for_tests
from tests.sql import Sql
from tests.waiting import eventually

AWAY = "postgresql://nobody@127.0.0.1:1/nothing"


class Vitals:
    """The database's own word."""

    def __init__(self, database: Database) -> None:
        self.meters = Meters()
        self._asked = SqlVitals(database, self.meters)

    async def say(self, name: str) -> Readings:
        await self._asked.ask()
        (level,) = (one for one in self.meters.all() if one.name == name)
        assert isinstance(level, Level)
        return level.readings()


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def told(database: Database) -> Vitals:
    return Vitals(database)


async def test_tasks_are_counted_by_status_and_priority_until_they_end(sql: Sql, told: Vitals) -> None:
    async with sql.work() as work:
        for _ in range(3):
            await work.tasks.add(a_task())
    await sql.execute(
        "update tasks set status = 'running' where id = (select min(id::text)::uuid from tasks)"
    )
    await sql.execute("update tasks set status = 'failed' where id = (select max(id::text)::uuid from tasks)")
    counted = await told.say("parlor_tasks")
    assert {labels: value for labels, value in counted.items() if value} == {
        (TaskStatus.QUEUED, "default"): 1,
        (TaskStatus.RUNNING, "default"): 1,
    }
    assert len(counted) == 9


async def test_what_is_not_published_is_counted_and_grows_old(sql: Sql, told: Vitals) -> None:
    async with sql.work() as work:
        await work.tasks.add(a_task())
        work.publish(UserRegistered(UserId(uuid7())))
    await sql.execute("update task_outbox set created_at = created_at - interval '1 hour'")
    assert await told.say("parlor_outbox_rows") == {("tasks",): 1, ("events",): 1, ("replays",): 0}
    ages = await told.say("parlor_outbox_oldest_seconds")
    assert ages["tasks",] >= 3600
    assert 0 <= ages["events",] < 3600


async def test_a_task_that_is_due_grows_old_and_one_that_is_held_back_does_not(
    sql: Sql, told: Vitals
) -> None:
    async with sql.work() as work:
        await work.tasks.add(a_task())
    await sql.execute("update tasks set queued_at = queued_at - interval '1 hour'")
    assert (await told.say("parlor_tasks_oldest_queued_seconds"))[ONE] >= 3600
    await sql.execute("update tasks set queued_at = null")
    assert (await told.say("parlor_tasks_oldest_queued_seconds"))[ONE] == 0


async def test_dead_letters_are_counted_by_reasons_that_there_are(sql: Sql, told: Vitals) -> None:
    async with sql.work() as work:
        for reason in ("not_json", "not_json", "made up", "too"):
            await work.letters.add(a_letter(reason=reason, message_id=reason))
    await sql.execute("update dead_letters set replayed_at = now() where reason = 'too'")
    counted = await told.say("parlor_dead_letters")
    assert {labels: value for labels, value in counted.items() if value} == {("not_json",): 2, ("other",): 1}
    assert counted["unknown_kind",] == 0


async def test_no_more_rows_are_looked_at_than_the_bound(
    sql: Sql, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "_LOOK", vitals._LOOK.replace(str(vitals.MOST), "2"))
    async with sql.work() as work:
        for _ in range(3):
            await work.tasks.add(a_task())
    few = Vitals(database)
    assert (await few.say("parlor_outbox_rows"))["tasks",] == 2
    assert (await few.say("parlor_tasks"))["queued", "default"] == 2


async def test_an_open_transaction_shows_and_so_do_connections(database_url: str, told: Vitals) -> None:
    somebody = await asyncpg.connect(database_url)
    try:
        before = (await told.say("parlor_database_oldest_transaction_seconds"))[ONE]
        await somebody.execute("begin")
        await somebody.execute("select 1")
        assert before == 0
        assert (await told.say("parlor_database_oldest_transaction_seconds"))[ONE] > 0
        used = (await told.say("parlor_database_connections"))[ONE]
        assert 2 <= used <= (await told.say("parlor_database_connections_most"))[ONE]
    finally:
        await somebody.close()


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[tuple[Database, Meters]]:
    """Open a pool of one connection."""
    meters = Meters()
    database = Database(database_url, size=1, name="tests", meters=meters)
    await database.open()
    yield database, meters
    await database.close()


async def test_who_waits_for_a_connection_and_who_gets_none_is_counted(
    narrow: tuple[Database, Meters], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, meters = narrow
    waiting = meters.level("parlor_database_pool_waiting", "")
    state = meters.level("parlor_database_pool_connections", "", "state")
    async with database.session():
        assert state.readings() == {("idle",): 0, ("in_use",): 1, ("most",): 1}
        second = asyncio.create_task(database.ping())
        await eventually(lambda: waiting.readings()[ONE] == 1)
        monkeypatch.setattr(database.lender, "_patience_s", 0.01)
        with pytest.raises(PoolExhausted):
            await database.ping()
    await second
    assert waiting.readings()[ONE] == 0
    assert meters.tally("parlor_database_pool_timeouts_total", "").readings()[ONE] == 1
    assert sum(meters.timing("parlor_database_pool_acquire_seconds", "").of().counts) == 3
    assert state.readings() == {("idle",): 1, ("in_use",): 0, ("most",): 1}


async def test_a_survey_leaves_the_pool_as_it_was(narrow: tuple[Database, Meters]) -> None:
    database, meters = narrow
    SqlVitals(database, meters)
    surveys = Surveys(meters)
    await surveys.fresh()
    assert meters.level("parlor_up_part", "", "part").readings() == {("database",): 1}
    await database.ping()
    await surveys.close()


async def test_with_the_database_away_the_page_still_answers_without_what_it_would_have_said() -> None:
    container = make_container(settings_for_tests(DATABASE_URL=AWAY), mode=Mode.EMBEDDED)
    await container.start()
    try:
        page = (await container.get(MetersPage).written(None)).body.decode()
    finally:
        await container.close()
    samples = {
        (one.name, *one.labels.values()): one.value for family in as_text(page) for one in family.samples
    }
    assert samples["parlor_up_part", "database"] == 0
    assert samples["parlor_up_part", "redis"] == 1
    assert samples["parlor_feed_up",] == 1
    assert not [name for name, *_ in samples if name.startswith(("parlor_outbox", "parlor_tasks_oldest"))]
