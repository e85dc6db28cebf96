"""Replays over RabbitMQ: the producer's own message again, sent safely, and what the broker never takes told apart."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import pytest

from parlor.adapters.rabbitmq.letters import letter_of
from parlor.adapters.rabbitmq.outlet import Outgoing, Outlet
from parlor.adapters.rabbitmq.properties import Properties
from parlor.adapters.rabbitmq.refusal import refusal
from parlor.adapters.rabbitmq.streams import mark_of
from parlor.core.shared.bus import Delivery, Receipt, Replay
from parlor.core.shared.ids import DeadLetterId, uuid7
from parlor.core.tasks.model import DeadLetter
from tests.rabbitmq import BasicProperties, Bench, BlockingChannel, a_bench, due, remove
from tests.waiting import eventually

TAKEN, WAITS, REFUSED = Receipt.TAKEN, Receipt.WAITS, Receipt.REFUSED
EVERYTHING = BasicProperties(
    content_type="application/json",
    content_encoding="identity",
    delivery_mode=1,
    priority=7,
    correlation_id="correlation",
    reply_to="answers",
    expiration="60000",
    message_id="order-7",
    timestamp=1_700_000_000,
    type="order",
    app_id="shop",
    cluster_id="",
    headers={
        "text": "Größe",
        "bytes": b"\xff\x00",
        "long": 2**40,
        "when": datetime(2026, 3, 1, 12, tzinfo=UTC).replace(tzinfo=None),
        "price": Decimal("12.34"),
        "flag": True,
        "nothing": None,
        "deep": {"list": [1, "two", {"three": b"3"}]},
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
)


@pytest.fixture
async def bench(rabbitmq_url: str) -> AsyncIterator[Bench]:
    async with a_bench(rabbitmq_url) as bench:
        await eventually(partial(replays_are_taken, bench))
        yield bench
    await remove(rabbitmq_url, bench.names)


async def replays_are_taken(bench: Bench) -> bool:
    """Whether the channel for replays is open: it takes what then is thrown away."""
    if list(await bench.bus.send_replays([a_replay(b"")])) != [TAKEN]:
        return False
    await asyncio.to_thread(bench.foreign.get, bench.names.queue("default"))
    return True


def a_replay(properties: bytes, queue: str = "default", body: bytes = b"body") -> Replay:
    whole = Properties.parse(properties).marshal() if properties else b"\x00\x00"
    return Replay(DeadLetterId(uuid7()), queue, None, {}, body, None, whole)


def marshalled(**properties: str) -> bytes:
    return Properties({}).with_texts(properties).marshal()


async def dead(bench: Bench, body: bytes, properties: BasicProperties, *, times: int = 1) -> DeadLetter:
    """Send it, refuse it, and answer what the dead letters' intake makes of it."""
    await asyncio.to_thread(bench.foreign.publish, bench.names.tasks, "low", body, properties)
    inbox = await bench.consume()
    [delivery] = await inbox.take(1)
    delivery = stamped(bench, delivery, times)
    await inbox.acknowledge([delivery])
    await inbox.close()
    return letter_of(delivery)


def stamped(bench: Bench, delivery: Delivery, times: int) -> Delivery:
    """As if somebody had moved it back by hand after each refusal but the last."""
    for _ in range(times):
        letter = refusal(delivery, bench.names.dead_letters, "not_json", "why")
        mark = mark_of(delivery)._replace(properties=Properties.parse(letter.properties))
        delivery = delivery._replace(tag=mark, headers=mark.properties.headers())
    return delivery


def shown(headers: dict[str, object]) -> list[str]:
    """With the types of the values; the broker keeps no order."""
    return sorted(f"{name}={value!r}" for name, value in headers.items())


def again(letter: DeadLetter) -> Replay:
    return Replay(
        letter.id,
        letter.queue,
        letter.message_id,
        letter.headers,
        letter.body,
        letter.content_type,
        letter.properties,
    )


@pytest.mark.parametrize("times", [1, 3])
async def test_a_replay_is_the_producers_message_to_the_byte(bench: Bench, times: int) -> None:
    """As the broker shows it to another client; also of what was refused before."""
    body = b'\x00{"no": json\xff'
    letter = await dead(bench, body, EVERYTHING, times=times)
    assert list(await bench.bus.send_replays([again(letter)])) == [TAKEN]
    properties, sent = await asyncio.to_thread(bench.foreign.get, bench.names.queue("low"))
    original = await asyncio.to_thread(bench.foreign.echo, EVERYTHING)
    properties.headers.pop("x-delivery-count", None)  # of the queue that it was read from
    assert sent == body
    assert vars(properties) == vars(original)
    assert shown(properties.headers) == shown(original.headers)


async def test_the_user_is_left_out(bench: Bench) -> None:
    """The broker checks it against whoever publishes; the letter keeps it."""
    letter = await dead(bench, b"x", BasicProperties(user_id="guest"))
    assert Properties.parse(letter.properties or b"").text("user_id") == "guest"
    foreign = Properties.parse(letter.properties or b"").with_texts({"user_id": "somebody else"})
    assert list(await bench.bus.send_replays([a_replay(foreign.marshal())])) == [TAKEN]
    properties, _ = await asyncio.to_thread(bench.foreign.get, bench.names.queue("default"))
    assert properties.user_id is None


async def test_a_letter_whose_properties_are_not_known_is_sent_with_its_id_and_type(bench: Bench) -> None:
    """One that was kept before they were."""
    replay = Replay(
        DeadLetterId(uuid7()), "high", "order-7", {"lost": 1}, b"body", "text/plain", properties=None
    )
    assert list(await bench.bus.send_replays([replay])) == [TAKEN]
    properties, body = await asyncio.to_thread(bench.foreign.get, bench.names.queue("high"))
    assert (properties.message_id, properties.content_type, body) == ("order-7", "text/plain", b"body")
    assert properties.delivery_mode == 2


@pytest.mark.parametrize("properties", [b"", marshalled(message_id="one")], ids=["no id", "an id"])
async def test_a_replay_that_no_queue_takes_waits(bench: Bench, properties: bytes) -> None:
    """Whether or not it has an id to be returned under."""
    receipts = await bench.bus.send_replays([a_replay(properties, queue="nowhere")])
    assert list(receipts) == [WAITS]
    assert list(await bench.bus.send_replays([a_replay(properties)])) == [TAKEN]


async def test_a_replay_waits_for_a_queue_that_was_deleted(bench: Bench) -> None:
    """Whoever asks for its room makes the topology anew."""

    def delete(channel: BlockingChannel) -> None:
        channel.queue_delete(bench.names.queue("low"))

    await asyncio.to_thread(bench.foreign.do, delete)
    replay = a_replay(b"", queue="low")
    assert list(await bench.bus.send_replays([replay])) == [WAITS]

    async def taken() -> bool:
        await bench.bus.room("low")
        return list(await bench.bus.send_replays([replay])) == [TAKEN]

    await eventually(taken)


async def test_what_the_broker_never_takes_is_refused_and_those_behind_it_wait(bench: Bench) -> None:
    """An expiration that is no number costs the channel: only the one that did it is blamed."""
    good, bad = a_replay(b""), a_replay(marshalled(expiration="soon"))
    assert list(await bench.bus.send_replays([good, bad, good])) == [TAKEN, REFUSED, WAITS]

    async def refused_again() -> bool:
        return list(await bench.bus.send_replays([bad])) == [REFUSED]

    await eventually(refused_again)

    async def taken() -> bool:
        return list(await bench.bus.send_replays([good])) == [TAKEN]

    await eventually(taken)


async def test_a_batch_with_a_message_that_is_never_taken_is_sent_one_by_one_after_that(bench: Bench) -> None:
    """Until then nobody knows which it was, so nobody is blamed."""
    good = outgoing(bench, marshalled(message_id="good"))
    bad = outgoing(bench, marshalled(message_id="bad", expiration="soon"))
    await eventually(lambda: bench.outlet.ready)
    first = await bench.outlet.publish([bad, good])
    assert first[0] is WAITS
    assert REFUSED not in first

    async def blamed() -> bool:
        return await bench.outlet.publish([good, bad, good]) == [TAKEN, REFUSED, WAITS]

    await eventually(blamed)


async def test_a_full_queue_does_not_refuse(bench: Bench) -> None:
    """It has no room at present, which says nothing about a message."""
    name = f"{bench.names.tasks}.small"

    def declare(channel: BlockingChannel) -> None:
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare(name, arguments=arguments)
        channel.queue_bind(name, bench.names.tasks, "small")

    await asyncio.to_thread(bench.foreign.do, declare)

    async def is_full() -> bool:
        return list(await bench.bus.send_tasks([due("small")])) == [WAITS]

    await eventually(is_full)
    assert list(await bench.bus.send_replays([a_replay(b"", queue="small")])) == [WAITS]
    await asyncio.to_thread(bench.foreign.do, lambda channel: channel.queue_delete(name))


async def test_without_a_broker_everything_waits(rabbitmq_url: str) -> None:
    async with a_bench(rabbitmq_url) as bench:
        await bench.publishing.close()
        assert list(await bench.bus.send_replays([a_replay(b""), a_replay(b"")])) == [WAITS, WAITS]
        outlet = Outlet(bench.publishing)
        assert await outlet.publish([outgoing(bench, b"\x00\x00")]) == [WAITS]
    await remove(rabbitmq_url, bench.names)


def outgoing(bench: Bench, properties: bytes) -> Outgoing:
    return Outgoing(
        bench.names.tasks, "low", Properties.parse(properties).text("message_id") or "", properties, b""
    )
