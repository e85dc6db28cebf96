"""What every message bus does, in process or over RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from unittest.mock import AsyncMock

import pytest
from pamqp.commands import Basic

from parlor.adapters.memory.bus import MemoryBus
from parlor.adapters.rabbitmq.connection import Link
from parlor.adapters.rabbitmq.depths import DepthsOnDemand
from parlor.core.shared.bus import Fact, Inbox, MessageBus, QueueDepths, Receipt, Replay
from parlor.core.shared.ids import DeadLetterId, EventId, uuid7
from tests.rabbitmq import a_bench, due, remove
from tests.waiting import eventually

TAKEN, WAITS = Receipt.TAKEN, Receipt.WAITS

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Deep(MessageBus, Protocol):
    async def depths(self) -> Mapping[str, int]: ...


class PausableInbox(Inbox, Protocol):
    async def pause(self) -> None: ...


@dataclass(frozen=True)
class Both:
    """The ports of one bus; deliveries flow from the moment the inbox is opened."""

    bus: Deep
    depths: QueueDepths
    open_inbox: Callable[[], Awaitable[PausableInbox]]


@pytest.fixture(params=["memory", "rabbitmq"])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    if request.param == "memory":
        memory = MemoryBus({"high": 64, "default": 32, "low": 8}, keep=AsyncMock())

        async def open_inbox() -> PausableInbox:
            return memory

        yield Both(memory, memory, open_inbox)
    else:
        url = request.getfixturevalue("rabbitmq_url")
        async with a_bench(url) as bench:
            depths = DepthsOnDemand(Link(url, bench.names.namespace))
            yield Both(bench.bus, depths, bench.consume)
            await depths.close()
        await remove(url, bench.names)


def a_fact(**body: object) -> Fact:
    return Fact(
        event_id=EventId(uuid7()),
        name="parties.party_founded",
        version=1,
        subject=uuid7(),
        sequence=7,
        happened_at=datetime.now(UTC),
        body=body,
    )


def a_replay(**fields: object) -> Replay:
    sent = {"traceparent": TRACE, "shop": "north"}
    added = {
        "x-parlor-reason": "not_json",
        "x-parlor-row": 1,
        "x-death": [{"count": 1}],
        "x-first-death-queue": "q",
    }
    properties = Basic.Properties(message_id="order-7", content_type="text/plain", headers=sent)  # type: ignore[arg-type]  # nested values of AMQP are no simple type
    known: dict[str, object] = {
        "letter_id": DeadLetterId(uuid7()),
        "queue": "low",
        "message_id": "order-7",
        "headers": sent | added,
        "body": b"\x00no json",
        "content_type": "text/plain",
        "properties": properties.marshal(),
    }
    return Replay(**known | fields)  # type: ignore[arg-type]  # fields by name


async def test_a_sent_task_is_delivered(both: Both) -> None:
    """Its id, its queue and its headers arrive."""
    task = due("high", TRACE)
    assert list(await both.bus.send_tasks([task])) == [TAKEN]
    [delivery] = await (await both.open_inbox()).take(10)
    assert delivery.message_id == str(task.task_id)
    assert delivery.queue == "high"
    assert delivery.headers == {"x-parlor-row": 1, "traceparent": TRACE}


async def test_a_task_without_a_trace_has_no_trace_header(both: Both) -> None:
    await both.bus.send_tasks([due()])
    [delivery] = await (await both.open_inbox()).take(10)
    assert delivery.headers == {"x-parlor-row": 1}


async def test_an_empty_batch_is_nothing(both: Both) -> None:
    assert list(await both.bus.send_tasks([])) == []
    assert list(await both.bus.send_facts([])) == []


async def test_every_fact_gets_its_answer(both: Both) -> None:
    """Nobody has to listen for a fact to count as published."""
    assert list(await both.bus.send_facts([a_fact(n=1), a_fact(n=2)])) == [TAKEN, TAKEN]


async def test_what_nobody_has_taken_is_counted_by_queue(both: Both) -> None:
    await both.bus.send_tasks([due("high"), due("high"), due("low")])
    assert await both.bus.depths() == {"high": 2, "default": 0, "low": 1}


async def test_no_more_is_taken_than_asked_for(both: Both) -> None:
    await both.bus.send_tasks([due() for _ in range(5)])
    inbox = await both.open_inbox()
    sizes: list[int] = []
    while sum(sizes) < 5:
        sizes.append(len(await inbox.take(2)))
    assert max(sizes) <= 2


async def test_a_queue_is_as_long_as_what_nobody_has_taken(both: Both) -> None:
    await both.bus.send_tasks([due("high"), due("high"), due("low")])

    async def ready() -> list[int | None]:
        return [await both.depths.ready(queue) for queue in ("high", "default", "low")]

    async def lengths(*expected: int) -> bool:
        return await ready() == list(expected)

    await eventually(lambda: lengths(2, 0, 1))
    await (await both.open_inbox()).take(3)
    await eventually(lambda: lengths(0, 0, 0))


async def test_every_task_is_delivered_once(both: Both) -> None:
    """More than any prefetch, and each is settled as it comes."""
    sent = [due(queue) for queue in ("high", "default", "low") for _ in range(100)]
    assert set(await both.bus.send_tasks(sent)) == {TAKEN}
    inbox = await both.open_inbox()
    taken: list[str | None] = []
    while len(taken) < len(sent):
        deliveries = await inbox.take(50)
        taken += [each.message_id for each in deliveries]
        await inbox.acknowledge(deliveries)
    assert sorted(map(str, taken)) == sorted(str(each.task_id) for each in sent)


async def test_one_of_each_is_taken_by_priority(both: Both) -> None:
    await both.bus.send_tasks([due("low"), due("default"), due("high")])
    inbox = await both.open_inbox()
    taken: list[str] = []
    while len(taken) < 3:
        taken += [each.queue for each in await inbox.take(10)]
    assert taken == ["high", "default", "low"]


async def test_taking_waits_for_a_delivery(both: Both) -> None:
    inbox = await both.open_inbox()
    taking = asyncio.create_task(inbox.take(10))
    await asyncio.sleep(0)
    assert not taking.done()
    task = due()
    await both.bus.send_tasks([task])
    assert [each.message_id for each in await taking] == [str(task.task_id)]


async def test_a_cancelled_taker_loses_nothing(both: Both) -> None:
    inbox = await both.open_inbox()
    taking = asyncio.create_task(inbox.take(10))
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait([taking])
    task = due()
    await both.bus.send_tasks([task])
    assert [each.message_id for each in await inbox.take(10)] == [str(task.task_id)]


async def test_room_shrinks_with_what_waits(both: Both) -> None:
    assert await both.bus.room("default") == 2000
    await both.bus.send_tasks([due(), due()])
    assert await both.bus.room("default") == 1998
    assert await both.bus.room("high") == 2000


async def test_a_queue_is_idle_when_nothing_waits_in_it(both: Both) -> None:
    assert await both.bus.idle_queues() == {"high", "default", "low"}
    await both.bus.send_tasks([due("low")])
    assert await both.bus.idle_queues() == {"high", "default"}


async def test_a_refused_delivery_does_not_come_back(both: Both) -> None:
    """The next one does."""
    await both.bus.send_tasks([due()])
    inbox = await both.open_inbox()
    [delivery] = await inbox.take(10)
    await inbox.refuse(delivery, "not_json", "it is no JSON")
    task = due()
    await both.bus.send_tasks([task])
    assert [each.message_id for each in await inbox.take(10)] == [str(task.task_id)]


async def test_a_paused_inbox_leaves_everything_in_the_queue(both: Both) -> None:
    """What was sent before and not taken, and what is sent after."""
    inbox = await both.open_inbox()
    await both.bus.send_tasks([due()])
    await inbox.pause()
    await both.bus.send_tasks([due()])

    async def both_wait() -> bool:
        return await both.bus.room("default") == 1998

    await eventually(both_wait)


async def test_what_was_taken_before_a_pause_can_be_settled(both: Both) -> None:
    await both.bus.send_tasks([due()])
    inbox = await both.open_inbox()
    taken = await inbox.take(10)
    await inbox.pause()
    await inbox.acknowledge(taken)
    assert await both.bus.room("default") == 2000


async def test_what_is_given_back_comes_again(both: Both) -> None:
    task = due()
    await both.bus.send_tasks([task])
    inbox = await both.open_inbox()
    await inbox.give_back(await inbox.take(10))
    [delivery] = await inbox.take(10)
    assert delivery.message_id == str(task.task_id)
    await inbox.acknowledge([delivery])


async def test_a_replay_is_delivered_as_its_producer_sent_it(both: Both) -> None:
    """Without what was added to it; and it stays taken once it is settled."""
    replay = a_replay()
    receipts = list(await both.bus.send_replays([replay]))
    inbox = await both.open_inbox()
    [delivery] = await inbox.take(10)
    assert (delivery.message_id, delivery.queue, delivery.body) == ("order-7", "low", b"\x00no json")
    assert delivery.headers == {"traceparent": TRACE, "shop": "north"}
    assert delivery.content_type == "text/plain"
    await inbox.acknowledge([delivery])
    if receipts == [WAITS]:
        receipts = list(await both.bus.send_replays([replay]))
    assert receipts == [TAKEN]
    assert await both.bus.room("low") == 2000


async def test_a_replay_of_what_had_no_id_has_none(both: Both) -> None:
    properties = Basic.Properties(headers={"shop": "north"}).marshal()
    await both.bus.send_replays([a_replay(message_id=None, content_type=None, properties=properties)])
    [delivery] = await (await both.open_inbox()).take(10)
    assert (delivery.message_id, delivery.content_type) == (None, None)
