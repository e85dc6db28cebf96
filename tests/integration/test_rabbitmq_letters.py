"""The intake of dead letters: what is handed over, and what becomes of a letter that is not taken."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from parlor.adapters.rabbitmq.letters import DeadLetterIntake
from parlor.core.shared.bus import Delivery
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
