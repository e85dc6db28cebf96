"""Settlement, prefetch, and what foreign producers may send."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import pytest

from parlor.adapters.rabbitmq.streams import mark_of
from tests.rabbitmq import BasicProperties, Bench, BlockingChannel, a_bench, due, remove
from tests.waiting import eventually

NESTED = {
    "bytes": b"\xff\x00",
    "table": {"list": [1, "two", {"three": Decimal("3.25")}]},
    "time": datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - pika writes naive ones
    "none": None,
    "large": 2**62,
    "true": True,
}
ODD = BasicProperties(
    content_type="text/plain",
    content_encoding="utf-8",
    headers=NESTED,
    delivery_mode=2,
    priority=3,
    correlation_id="correlation",
    reply_to="somewhere",
    message_id="no uuid",
    timestamp=1_700_000_000,
    type="a type",
    user_id="guest",
    app_id="an app",
)


@pytest.fixture
async def bench(rabbitmq_url: str) -> AsyncIterator[Bench]:
    async with a_bench(rabbitmq_url) as bench:
        yield bench
    await remove(rabbitmq_url, bench.names)


async def send(bench: Bench, body: bytes = b"{}", properties: BasicProperties | None = None) -> None:
    await asyncio.to_thread(
        bench.foreign.publish, bench.names.tasks, "default", body, properties or BasicProperties()
    )


async def test_each_queue_has_its_own_prefetch(rabbitmq_url: str) -> None:
    """A full queue leaves room for the others."""
    async with a_bench(rabbitmq_url, prefetch=(3, 2, 1)) as bench:
        for queue in ("high", "default", "low"):
            await bench.bus.send_tasks([due(queue) for _ in range(10)])
        await bench.consume()
        await bench.take(3 + 2 + 1)
        assert [await bench.ready(queue) for queue in ("high", "default", "low")] == [7, 8, 9]
    await remove(rabbitmq_url, bench.names)


async def test_settled_deliveries_make_room_for_the_next(rabbitmq_url: str) -> None:
    async with a_bench(rabbitmq_url, prefetch=(1, 2, 1)) as bench:
        await bench.bus.send_tasks([due() for _ in range(6)])
        inbox = await bench.consume()
        first = await bench.take(2)
        assert await bench.ready("default") == 4
        await inbox.acknowledge(first)
        await bench.take(2)
        assert await bench.ready("default") == 2
    await remove(rabbitmq_url, bench.names)


async def test_deliveries_may_be_settled_in_any_order(bench: Bench) -> None:
    """One by one, in rows and twice; the broker agrees with every one, and nothing comes back."""
    await bench.bus.send_tasks([due() for _ in range(20)])
    inbox = await bench.consume()
    taken = await bench.take(20)
    stream = mark_of(taken[0]).stream
    for some in (taken[5:6], taken[0:3], taken[10:20], taken[0:7], taken[3:9], taken[9:10], taken):
        await inbox.acknowledge(some)
    await bench.bus.send_tasks([due()])
    [last] = await inbox.take(10)
    assert mark_of(last).stream is stream
    await inbox.acknowledge([last])
    await inbox.close()
    assert await bench.bus.idle_queues() == {"high", "default", "low"}


async def test_what_is_not_settled_comes_again(bench: Bench) -> None:
    """Taken or not, once the inbox is closed."""
    await bench.bus.send_tasks([due() for _ in range(5)])
    inbox = await bench.consume()
    taken = await inbox.take(2)
    await inbox.acknowledge(taken[:1])
    await inbox.close()

    async def all_but_one() -> bool:
        return await bench.ready("default") == 4

    await eventually(all_but_one)


@pytest.mark.parametrize("lost", ["channel", "connection"])
async def test_an_acknowledgement_for_a_lost_channel_is_dropped(bench: Bench, lost: str) -> None:
    """It must not settle whatever has its number on the next one."""
    await bench.bus.send_tasks([due()])
    inbox = await bench.consume()
    [old] = await inbox.take(1)
    if lost == "channel":
        inbox._line.replace(mark_of(old).stream.channel)
    else:
        bench.consuming.renew()
    [new] = await inbox.take(1)
    assert new.message_id == old.message_id
    assert mark_of(new).tag == mark_of(old).tag
    await inbox.acknowledge([old])
    await inbox.close()

    async def back() -> bool:
        return await bench.ready("default") == 1

    await eventually(back)


async def test_what_was_not_taken_from_a_lost_channel_is_thrown_away(bench: Bench) -> None:
    """It comes again: each is taken once."""
    await bench.bus.send_tasks([due() for _ in range(10)])
    inbox = await bench.consume()
    [first] = await inbox.take(1)
    await inbox.acknowledge([first])
    bench.consuming.renew()
    await eventually(lambda: not mark_of(first).stream.alive)
    rest = await bench.take(9)
    assert all(mark_of(each).stream.alive for each in rest)
    await inbox.acknowledge(rest)
    assert len({each.message_id for each in [first, *rest]}) == 10
    await inbox.close()
    assert await bench.ready("default") == 0


async def test_a_refused_message_keeps_its_body_and_its_properties(bench: Bench) -> None:
    """To the byte, as the broker itself shows them."""
    await send(bench, b"\x00no json", ODD)
    inbox = await bench.consume()
    [delivery] = await inbox.take(1)
    await inbox.refuse(delivery, "not_json", "Größe")
    properties, body = await asyncio.to_thread(bench.foreign.get, bench.names.dead_letters)
    assert body == b"\x00no json"
    original = await asyncio.to_thread(bench.foreign.echo, ODD)
    added = {"x-parlor-reason": "not_json", "x-parlor-detail": "Größe"}
    properties.headers.pop("x-delivery-count")  # of the queue that it was read from
    assert UUID(properties.headers.pop("x-parlor-letter")).version == 7
    added["x-parlor-user-id"] = "guest"  # the property is for the broker to check, against whoever publishes
    assert properties.headers == original.headers | added
    assert vars(properties) == vars(original) | {"headers": properties.headers, "user_id": None}


async def test_a_refused_message_is_settled(bench: Bench) -> None:
    await send(bench)
    inbox = await bench.consume()
    await inbox.refuse((await inbox.take(1))[0], "missing_id", "")
    await inbox.close()
    assert await bench.ready("default") == 0


async def test_an_expiration_does_not_make_a_dead_letter_vanish(bench: Bench) -> None:
    await send(bench, properties=BasicProperties(expiration="60000"))
    inbox = await bench.consume()
    await inbox.refuse((await inbox.take(1))[0], "missing_id", "")
    properties, _ = await asyncio.to_thread(bench.foreign.get, bench.names.dead_letters)
    assert properties.expiration is None
    assert properties.headers["x-parlor-expiration"] == "60000"


async def test_a_forged_reason_does_not_stand(bench: Bench) -> None:
    forged = BasicProperties(headers={"x-parlor-reason": "too_large", "other": 1})
    await send(bench, properties=forged)
    inbox = await bench.consume()
    await inbox.refuse((await inbox.take(1))[0], "missing_id", "")
    properties, _ = await asyncio.to_thread(bench.foreign.get, bench.names.dead_letters)
    assert properties.headers["x-parlor-reason"] == "missing_id"
    assert properties.headers["other"] == 1


async def test_headers_as_large_as_a_frame_can_still_be_refused(bench: Bench) -> None:
    """What is too large to carry the reason too goes without its own headers."""
    for size in range(130_000, 131_001, 250):
        large = BasicProperties(message_id=str(size), headers={"large": "x" * size})
        await send(bench, properties=large)
    inbox = await bench.consume()
    for delivery in await bench.take(5):
        stream = mark_of(delivery).stream
        await inbox.refuse(delivery, "not_json", "d" * 5000)
        assert stream.alive
    for size in range(130_000, 131_001, 250):
        properties, _ = await asyncio.to_thread(bench.foreign.get, bench.names.dead_letters)
        assert properties.message_id == str(size)
        assert properties.headers["x-parlor-reason"] == "not_json"


@pytest.mark.parametrize(
    "properties",
    [
        BasicProperties(message_id=b"\xff\xfe\x00junk"),
        BasicProperties(content_type=b"\xff"),
        BasicProperties(correlation_id=b"\xff"),
        BasicProperties(timestamp=2**63),
        BasicProperties(headers={"key": datetime(9999, 12, 31)}),  # noqa: DTZ001 - pika's way
        BasicProperties(headers=NESTED),
    ],
    ids=["id", "content type", "correlation", "timestamp", "time", "nested"],
)
async def test_odd_properties_cost_nobody_anything(bench: Bench, properties: BasicProperties) -> None:
    """The message comes on the same channel as those before and after, and can be refused."""
    await send(bench, b"before")
    await send(bench, b"odd", properties)
    await send(bench, b"after")
    inbox = await bench.consume()
    before, odd, after = await bench.take(3)
    assert [each.body for each in (before, odd, after)] == [b"before", b"odd", b"after"]
    assert mark_of(before).stream is mark_of(after).stream
    await inbox.refuse(odd, "missing_id", "")
    kept, body = await asyncio.to_thread(bench.foreign.get, bench.names.dead_letters)
    original = await asyncio.to_thread(bench.foreign.echo, properties)
    assert body == b"odd"
    assert kept.headers.items() >= (original.headers or {}).items()
    assert vars(kept) | {"headers": None} == vars(original) | {"headers": None}


async def test_a_consumer_survives_the_deletion_of_its_queue(bench: Bench) -> None:
    """The topology is declared again, and consumed."""
    inbox = await bench.consume()

    def delete(channel: BlockingChannel) -> None:
        channel.queue_delete(bench.names.queue("default"))

    await asyncio.to_thread(bench.foreign.do, delete)

    async def sent() -> bool:
        return all(await bench.bus.send_tasks([due()]))

    await eventually(sent)
    assert (await inbox.take(10))[0].queue == "default"


async def test_a_quiet_inbox_is_healthy_while_nothing_waits(rabbitmq_url: str) -> None:
    now = [0.0]
    async with a_bench(rabbitmq_url, clock=lambda: now[0]) as bench:
        inbox = await bench.consume()
        now[0] = 31.0
        assert await inbox.healthy()
    await remove(rabbitmq_url, bench.names)


async def test_a_full_inbox_is_healthy(rabbitmq_url: str) -> None:
    """It has no free slot, so that nothing can come."""
    now = [0.0]
    async with a_bench(rabbitmq_url, prefetch=(1, 1, 1), clock=lambda: now[0]) as bench:
        await bench.bus.send_tasks([due(), due()])
        inbox = await bench.consume()
        await inbox.take(1)
        now[0] = 31.0
        assert await bench.ready("default") == 1
        assert await inbox.healthy()
    await remove(rabbitmq_url, bench.names)


async def test_an_inbox_that_gets_nothing_though_something_waits_is_not_healthy(rabbitmq_url: str) -> None:
    """A consumer that the broker has forgotten: it looks connected, and nothing comes."""
    now = [0.0]
    async with a_bench(rabbitmq_url, clock=lambda: now[0]) as bench:
        inbox = await bench.consume()
        channel = inbox._line.channel
        assert channel is not None
        await channel.basic_cancel("default")
        await bench.bus.send_tasks([due()])
        now[0] = 29.0
        assert await inbox.healthy()
        now[0] = 31.0
        assert not await inbox.healthy()
    await remove(rabbitmq_url, bench.names)
