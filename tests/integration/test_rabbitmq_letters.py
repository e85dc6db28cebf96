"""The intake of dead letters: what is handed over, and what becomes of a letter that is not taken."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from pamqp.commands import Basic

from parlor.adapters.rabbitmq.letters import DeadLetterIntake
from parlor.core.shared.bus import Delivery
from parlor.core.shared.ids import DeadLetterId
from parlor.core.tasks.model import DeadLetter
from tests.rabbitmq import BasicProperties, Bench, a_bench, due, remove
from tests.waiting import eventually


class Shelf:
    """Keeps the letters, after as many failures as it is told to have."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.kept: list[tuple[DeadLetter, bool, Delivery]] = []

    async def __call__(self, letter: DeadLetter, is_from_broker: bool, delivery: Delivery) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the database is away")
        self.kept.append((letter, is_from_broker, delivery))


@pytest.fixture
async def bench(rabbitmq_url: str) -> AsyncIterator[Bench]:
    async with a_bench(rabbitmq_url) as bench:
        yield bench
    await remove(rabbitmq_url, bench.names)


@asynccontextmanager
async def an_intake(bench: Bench, shelf: Shelf) -> AsyncIterator[DeadLetterIntake]:
    intake = DeadLetterIntake(bench.consuming, shelf)
    await intake.start()
    yield intake
    await intake.close()


async def refused(bench: Bench, body: bytes, properties: BasicProperties) -> None:
    await asyncio.to_thread(bench.foreign.publish, bench.names.tasks, "high", body, properties)
    inbox = await bench.consume()
    [delivery] = await inbox.take(1)
    await inbox.refuse(delivery, "not_json", "line 1")


async def test_a_refused_message_is_handed_over_with_its_reason(bench: Bench) -> None:
    properties = BasicProperties(message_id="an id", content_type="text/plain", headers={"traceparent": "t"})
    await refused(bench, b"\xff", properties)
    shelf = Shelf()
    async with an_intake(bench, shelf):
        await eventually(lambda: shelf.kept)
    [(letter, is_from_broker, delivery)] = shelf.kept
    assert not is_from_broker
    assert letter == DeadLetter(
        reason="not_json",
        detail="line 1",
        message_id="an id",
        routing_key="high",
        headers={"traceparent": "t", "x-parlor-reason": "not_json", "x-parlor-detail": "line 1"},
        body=b"\xff",
        content_type="text/plain",
        properties=Basic.Properties("text/plain", headers={"traceparent": "t"}, message_id="an id").marshal(),
        id=letter.id,
    )
    assert (delivery.queue, delivery.body) == ("high", b"\xff")


async def test_a_letter_that_was_kept_is_gone(bench: Bench) -> None:
    await refused(bench, b"x", BasicProperties())
    shelf = Shelf()
    async with an_intake(bench, shelf):
        await eventually(lambda: shelf.kept)
    async with an_intake(bench, again := Shelf()):
        await refused(bench, b"y", BasicProperties())
        await eventually(lambda: again.kept)
    assert [letter.body for letter, _, _ in again.kept] == [b"y"]


async def test_a_letter_that_could_not_be_kept_comes_again(bench: Bench) -> None:
    """Until it is; and it does not hold up the next one."""
    await refused(bench, b"x", BasicProperties())
    shelf = Shelf(failures=3)
    async with an_intake(bench, shelf):
        await eventually(lambda: shelf.kept)
    [(letter, _, _)] = shelf.kept
    assert letter.body == b"x"
    assert letter.headers.keys() == {"x-parlor-reason", "x-parlor-detail"}


async def test_what_the_broker_gave_up_says_so(bench: Bench) -> None:
    """After more returns than its limit: a loop that dies before the claim."""
    task = due("low")
    await bench.bus.send_tasks([task])
    shelf = Shelf()

    async def dies_again() -> bool:
        taking = asyncio.ensure_future(bench.inbox.take(1))
        await asyncio.wait([taking], timeout=0.05)
        bench.consuming.renew()
        taking.cancel()
        return bool(shelf.kept)

    await bench.consume()
    async with an_intake(bench, shelf):
        await eventually(dies_again, within=60)
    letter, is_from_broker, _ = shelf.kept[0]
    assert is_from_broker
    assert (letter.reason, letter.message_id, letter.routing_key) == (
        "delivery_limit",
        str(task.task_id),
        "low",
    )
    assert letter.headers["x-parlor-row"] == 1
    assert json.dumps(letter.headers)


async def test_a_letter_holds_nothing_that_a_database_refuses(bench: Bench) -> None:
    odd = BasicProperties(
        message_id="nul\0",
        content_type=b"\xff\0",
        headers={"nul\0": "nul\0", "bytes": b"\xff", "deep": {"list": [b"\0"]}},
    )
    await refused(bench, b"\0", odd)
    shelf = Shelf()
    async with an_intake(bench, shelf):
        await eventually(lambda: shelf.kept)
    [(letter, _, _)] = shelf.kept
    assert letter.body == b"\0"
    written = json.dumps([letter.message_id, letter.content_type, letter.headers])
    assert "\\u0000" not in written
    assert letter.headers["deep"] == {"list": ["\N{REPLACEMENT CHARACTER}"]}


async def test_a_letter_without_any_reason_is_kept_too(bench: Bench) -> None:
    """Whoever published it straight to the exchange."""
    await asyncio.to_thread(bench.foreign.publish, bench.names.dead_letters, "", b"x", BasicProperties())
    shelf = Shelf()
    async with an_intake(bench, shelf):
        await eventually(lambda: shelf.kept)
    [(letter, is_from_broker, _)] = shelf.kept
    assert not is_from_broker
    assert letter.reason == "invalid_message"


async def expire(bench: Bench, queue: str, body: bytes, properties: BasicProperties) -> None:
    """Let the broker itself move a message: nobody consumes its queue."""
    await asyncio.to_thread(bench.foreign.publish, bench.names.tasks, queue, body, properties)


async def test_what_the_broker_moved_gets_back_what_the_broker_took(bench: Bench) -> None:
    """Its expiration, without the notes about its death."""
    properties = BasicProperties(message_id="an id", expiration="1", headers={"shop": "north"})
    shelf = Shelf()
    async with an_intake(bench, shelf):
        await expire(bench, "low", b"x", properties)
        await eventually(lambda: shelf.kept)
    [(letter, is_from_broker, _)] = shelf.kept
    assert is_from_broker
    assert (
        letter.properties
        == Basic.Properties(expiration="1", headers={"shop": "north"}, message_id="an id").marshal()
    )


@pytest.mark.parametrize("moved_by", ["worker", "broker"])
async def test_a_letter_that_comes_again_has_the_same_id(bench: Bench, moved_by: str) -> None:
    """Its acknowledgement was lost: whoever keeps it knows it by that."""
    if moved_by == "worker":
        await refused(bench, b"x", BasicProperties())
    else:
        await expire(bench, "low", b"x", BasicProperties(expiration="1"))
    ids: list[DeadLetterId] = []

    async def die(letter: DeadLetter, _is_from_broker: bool, _delivery: Delivery) -> None:
        ids.append(letter.id)
        raise RuntimeError("kill -9 between the insert and the acknowledgement")

    intake = DeadLetterIntake(bench.consuming, die)
    await intake.start()
    await eventually(lambda: len(ids) > 2)
    await intake.close()
    assert len(set(ids)) == 1


async def test_two_letters_that_are_alike_are_two(bench: Bench) -> None:
    """Whoever moved them."""
    inbox = await bench.consume()
    for _ in range(2):
        await asyncio.to_thread(bench.foreign.publish, bench.names.tasks, "high", b"x", BasicProperties())
        await inbox.refuse((await inbox.take(1))[0], "not_json", "")
        await asyncio.to_thread(bench.foreign.publish, bench.names.dead_letters, "", b"x", BasicProperties())
    shelf = Shelf()
    async with an_intake(bench, shelf):
        await eventually(lambda: len(shelf.kept) == 4)
    assert len({letter.id for letter, _, _ in shelf.kept}) == 4


async def test_the_reason_is_read_whatever_the_other_headers_are(bench: Bench) -> None:
    """A time beyond Python's makes the table unreadable as a whole."""
    far = BasicProperties(headers={"when": datetime(9999, 12, 31)})  # noqa: DTZ001 - pika's way
    await refused(bench, b"x", far)
    shelf = Shelf()
    async with an_intake(bench, shelf):
        await eventually(lambda: shelf.kept)
    [(letter, is_from_broker, _)] = shelf.kept
    assert (letter.reason, letter.detail, is_from_broker) == ("not_json", "line 1", False)
    assert letter.properties is not None
    assert b"when" in letter.properties


async def test_what_was_published_with_another_key_is_read_as_one_of_the_default_queue(bench: Bench) -> None:
    properties = BasicProperties(headers={"x-death": []})
    await asyncio.to_thread(bench.foreign.publish, bench.names.dead_letters, "urgent", b"x", properties)
    shelf = Shelf()
    async with an_intake(bench, shelf):
        await eventually(lambda: shelf.kept)
    [(letter, _, delivery)] = shelf.kept
    assert (letter.routing_key, delivery.queue) == ("urgent", "default")
