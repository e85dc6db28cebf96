"""Dead letters into the table: once each, whatever dies between the insert and the acknowledgement."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from parlor.adapters.observed import observed
from parlor.adapters.rabbitmq.letters import DeadLetterIntake
from parlor.adapters.sql.engine import Database
from parlor.core.shared.bus import Delivery
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.foreign import AdmitForeign, Producers
from parlor.core.tasks.model import DeadLetter
from parlor.entrypoints.consume_worker.letters import TakeLetter
from tests.builders import a_task
from tests.fakes.tasks import kinds_that
from tests.rabbitmq import BasicProperties, Bench, a_bench, remove
from tests.sql import Sql
from tests.waiting import eventually

ORDER = json.dumps({"kind": "note", "payload": {}}).encode()


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def take(sql: Sql) -> TakeLetter:
    return TakeLetter(admit=AdmitForeign(kinds_that(), Producers(), sql.work), work=sql.work)


@pytest.fixture
async def bench(rabbitmq_url: str) -> AsyncIterator[Bench]:
    async with a_bench(rabbitmq_url) as bench:
        yield bench
    await remove(rabbitmq_url, bench.names)


async def send_dead(bench: Bench, body: bytes, properties: BasicProperties, *, by_broker: bool) -> None:
    """Have it moved to the dead letters by a worker's refusal, or by the broker at its expiration."""
    properties.expiration = "1" if by_broker else None
    await asyncio.to_thread(bench.foreign.publish, bench.names.tasks, "low", body, properties)
    if not by_broker:
        inbox = await bench.consume()
        await inbox.refuse((await inbox.take(1))[0], "not_json", "why")


@pytest.mark.parametrize("by_broker", [False, True], ids=["refused", "moved by the broker"])
async def test_a_crash_between_the_insert_and_the_acknowledgement_stores_nothing_twice(
    bench: Bench, sql: Sql, take: TakeLetter, by_broker: bool
) -> None:
    await send_dead(bench, b"{", BasicProperties(message_id="an id"), by_broker=by_broker)
    stored = asyncio.Event()

    async def store_and_die(letter: DeadLetter, from_broker: bool, delivery: Delivery) -> None:
        await take(letter, from_broker, delivery)
        stored.set()
        await asyncio.Event().wait()

    first = DeadLetterIntake(bench.consuming, store_and_die)
    await first.start()
    await stored.wait()
    await first.close()
    taken: list[DeadLetter] = []

    async def store(letter: DeadLetter, from_broker: bool, delivery: Delivery) -> None:
        await take(letter, from_broker, delivery)
        taken.append(letter)

    second = DeadLetterIntake(bench.consuming, store)
    await second.start()
    await eventually(lambda: taken)
    await second.close()
    assert [row["id"] for row in await sql.rows("select id from dead_letters")] == [taken[0].id]


async def test_what_the_broker_moved_and_can_be_read_is_born(
    bench: Bench, sql: Sql, take: TakeLetter
) -> None:
    """And nothing is listed."""
    task_id = uuid4()
    await send_dead(bench, ORDER, BasicProperties(message_id=str(task_id)), by_broker=True)
    intake = DeadLetterIntake(bench.consuming, take)
    await intake.start()
    await eventually(lambda: sql.value("select count(*) = 1 from tasks"))
    await intake.close()
    assert (await sql.task(TaskId(task_id)))["priority"] == "low"
    assert await sql.value("select count(*) from dead_letters") == 0


async def test_two_who_take_the_same_order_at_once_make_one_task(sql: Sql, take: TakeLetter) -> None:
    """Neither sees the other's row before it writes its own; the loser looks again."""
    task_id = TaskId(uuid4())
    delivery = Delivery(str(task_id), ORDER, "low", headers={"x-death": []})
    taking = observed("TakeLetter", take)
    lock: Any = sql.database.session()
    async with lock as session:
        await session.execute("begin")
        await session.execute("lock table tasks in share mode")  # all may look, none may write
        both = asyncio.gather(*(taking(DeadLetter("", "", None, "low"), True, delivery) for _ in range(2)))
        await eventually(sql.all_wait(2))
        await session.execute("commit")
    await both
    assert list(await sql.statuses()) == [task_id]
    assert await sql.value("select count(*) from dead_letters") == 0


async def test_what_has_a_row_is_left_to_the_reaper(sql: Sql, take: TakeLetter) -> None:
    (task_id,) = await sql.enqueue(a_task())
    await sql.clear_outbox()
    await take(DeadLetter("", "", None, "low"), True, Delivery(str(task_id), ORDER, "low"))
    assert await sql.outbox() == []
    assert await sql.value("select count(*) from dead_letters") == 0


async def test_what_the_broker_moved_and_can_be_read_is_listed_for_what_it_says(
    sql: Sql, take: TakeLetter
) -> None:
    """Nothing is wrong with its delivery."""
    body = b'{"kind": "films", "payload": {}}'
    await take(DeadLetter("delivery_limit", "", None, "low"), True, Delivery(str(uuid4()), body, "low"))
    assert await sql.value("select reason from dead_letters") == "unknown_kind"


async def test_what_the_broker_moved_and_nobody_can_read_is_listed(sql: Sql, take: TakeLetter) -> None:
    letter = DeadLetter("delivery_limit", "", "an id", "low")
    await take(letter, True, Delivery("an id", ORDER, "low"))
    (row,) = await sql.rows("select * from dead_letters")
    assert (row["id"], row["reason"], row["detail"]) == (
        letter.id,
        "delivery_limit",
        "message_id is not a UUID.",
    )
