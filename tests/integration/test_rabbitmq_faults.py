"""A broker that is cut, stopped, frozen or full."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
import structlog

from parlor.adapters.rabbitmq import connection, outlet
from parlor.adapters.rabbitmq.connection import Link
from parlor.adapters.rabbitmq.consumer import RabbitInbox
from parlor.adapters.rabbitmq.streams import mark_of
from parlor.core.shared.bus import Delivery, DueTask, Receipt
from tests.rabbitmq import BasicProperties, Bench, a_bench, a_namespace, due
from tests.servers import RabbitMQ
from tests.waiting import eventually

TAKEN, WAITS = Receipt.TAKEN, Receipt.WAITS


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMQ]:
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture
async def bench(broker: RabbitMQ) -> AsyncIterator[Bench]:
    async with a_bench(broker.url) as bench:
        yield bench


async def sent_at_last(bench: Bench, batch: list[DueTask]) -> None:
    """Do as the relay does: send again what is not confirmed."""
    left = batch

    async def all_sent() -> bool:
        nonlocal left
        answers = await bench.bus.send_tasks(left)
        left = [task for task, receipt in zip(left, answers, strict=True) if receipt is not TAKEN]
        return not left

    await eventually(all_sent)


async def consume_until(bench: Bench, wanted: set[str]) -> set[str]:
    """Take and settle until all of these have come."""
    seen: set[str] = set()
    consuming = asyncio.create_task(consume_for_ever(bench, seen))
    await eventually(lambda: wanted <= seen)
    consuming.cancel()
    return seen


async def consume_for_ever(bench: Bench, seen: set[str]) -> None:
    while True:
        deliveries = await bench.inbox.take(50)
        seen |= {str(each.message_id) for each in deliveries}
        await bench.inbox.acknowledge(deliveries)


def is_back(inbox: RabbitInbox, old: Delivery) -> bool:
    """Tell whether the inbox consumes on another channel than the one that brought this."""
    return inbox.ready and not mark_of(old).stream.alive


async def test_a_link_to_nowhere_starts_and_ends(broker: RabbitMQ) -> None:
    """Nobody waits for a broker that is away, and nobody is told that anything was published."""
    link = Link("amqp://guest:secret@127.0.0.1:9", a_namespace())
    away = outlet.Outlet(link)
    with structlog.testing.capture_logs() as logs:
        await link.start()
        await away.start()
        await eventually(lambda: link.problem)
        assert not link.up
        await away.close()
        await link.close()
    assert any(each["event"] == "rabbitmq_retry" for each in logs)
    assert "secret" not in repr(logs)


async def test_no_log_shows_the_password(broker: RabbitMQ) -> None:
    assert ":guest@" in broker.url
    link = Link(broker.url, a_namespace())
    with structlog.testing.capture_logs() as logs:
        await link.start()
        await eventually(lambda: link.up)
        link.renew()
        await eventually(lambda: sum(each["event"] == "rabbitmq_connected" for each in logs) == 2)
        await link.close()
    assert ":guest@" not in repr(logs)


async def test_a_wrong_topology_is_the_links_problem_until_it_is_mended(broker: RabbitMQ) -> None:
    async with a_bench(broker.url) as bench:
        name = bench.names.queue("low")

    def spoil(channel: object) -> None:
        channel.queue_delete(name)  # type: ignore[attr-defined]  # pika has no annotations
        channel.queue_declare(name, durable=True)  # type: ignore[attr-defined]  # the same

    await asyncio.to_thread(bench.foreign.do, spoil)
    link = Link(broker.url, bench.names.namespace)
    await link.start()
    await eventually(lambda: link.problem and name in link.problem)
    assert not link.up
    await asyncio.to_thread(bench.foreign.do, lambda channel: channel.queue_delete(name))
    await eventually(lambda: link.up and link.problem is None)
    await link.close()


async def test_tasks_sent_while_the_broker_is_stopped_are_not_published_and_later_are(
    broker: RabbitMQ, bench: Bench
) -> None:
    """Without a restart of ours; what was there before is still there."""
    before = due()
    assert list(await bench.bus.send_tasks([before])) == [TAKEN]
    inbox = await bench.consume()
    await asyncio.to_thread(broker.stop)
    assert list(await bench.bus.send_tasks([due(), due()])) == [WAITS, WAITS]
    assert await bench.bus.room("default") == 0
    assert await bench.bus.idle_queues() == frozenset()
    assert not await inbox.healthy()
    await asyncio.to_thread(broker.start)
    after = due()
    await sent_at_last(bench, [after])
    wanted = {str(before.task_id), str(after.task_id)}
    assert await consume_until(bench, wanted) == wanted
    await eventually(inbox.healthy)


async def test_connections_cut_in_the_middle_of_batches_lose_nothing(broker: RabbitMQ, bench: Bench) -> None:
    inbox = await bench.consume()
    channels = {bench.outlet._line.channel, inbox._line.channel}
    wanted, seen = set[str](), set[str]()
    cutting = asyncio.create_task(asyncio.to_thread(broker.close_connections))
    consuming = asyncio.create_task(consume_for_ever(bench, seen))
    while not cutting.done() or channels & {bench.outlet._line.channel, inbox._line.channel}:
        batch = [due() for _ in range(100)]
        await sent_at_last(bench, batch)
        wanted |= {str(task.task_id) for task in batch}
    await eventually(lambda: wanted == seen)
    consuming.cancel()


async def test_ten_cuts_in_a_row_dead_letter_nothing(broker: RabbitMQ, bench: Bench) -> None:
    """Though all prefetched messages are returned each time."""
    sent = [due("high") for _ in range(100)]
    await bench.bus.send_tasks(sent)
    inbox = await bench.consume()
    for _ in range(10):
        [delivery] = await inbox.take(1)
        await asyncio.to_thread(broker.close_connections)
        await eventually(partial(is_back, inbox, delivery))
    wanted = {str(task.task_id) for task in sent}
    assert await consume_until(bench, wanted) == wanted
    kept = await asyncio.to_thread(broker.ctl, "list_queues", "name", "messages")
    assert f"{bench.names.dead_letters}\t0" in kept


async def test_a_full_broker_pauses_publishing_and_not_consuming(broker: RabbitMQ, bench: Bench) -> None:
    """It says so on a connection that publishes; the other one goes on settling."""
    before = due()
    await bench.bus.send_tasks([before])
    await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "0.00001")
    try:
        await eventually(lambda: _is_blocked(bench))
        assert list(await bench.bus.send_tasks([due("high")])) == [WAITS]
        assert await bench.bus.room("high") == 0
        assert await bench.bus.idle_queues() == frozenset()
        assert not bench.consuming.blocked
        inbox = await bench.consume()
        await consume_until(bench, {str(before.task_id)})
        await inbox.close()
    finally:
        await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "0.4")
    await eventually(lambda: bench.outlet.ready)
    await sent_at_last(bench, [due()])
    assert await bench.ready("high") == 0  # it was not sent into the void in the meantime


async def _is_blocked(bench: Bench) -> bool:
    # The broker tells a connection only once it publishes.
    sending = asyncio.ensure_future(bench.bus.send_tasks([due("low")]))
    await asyncio.wait([sending], timeout=0.2)
    sending.cancel()
    await asyncio.wait([sending])
    return bench.publishing.blocked


async def test_a_refusal_waits_for_a_broker_that_takes_messages_again(broker: RabbitMQ, bench: Bench) -> None:
    """It is neither lost nor returned in the meantime."""
    await asyncio.to_thread(
        bench.foreign.publish, bench.names.tasks, "low", b"junk", BasicProperties(message_id="junk")
    )
    inbox = await bench.consume()
    [delivery] = await inbox.take(1)
    await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "0.00001")
    try:
        await eventually(lambda: _is_blocked(bench))
        await inbox.refuse(delivery, "not_json", "")
        assert inbox._refusals
        assert mark_of(delivery).stream.ledger.held("low") == 1  # or it would be gone if we died now
    finally:
        await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "0.4")
    await eventually(lambda: not inbox._refusals)
    properties, _ = await asyncio.to_thread(bench.foreign.get, bench.names.dead_letters)
    assert properties.headers["x-parlor-reason"] == "not_json"
    assert "x-death" not in properties.headers


async def test_a_broker_that_does_not_confirm_costs_bounded_time_and_a_channel(
    broker: RabbitMQ, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows what became of those messages: they count as not published."""
    monkeypatch.setattr(outlet, "CONFIRM_S", 0.5)
    channel = bench.outlet._line.channel
    await asyncio.to_thread(broker.pause)
    try:
        assert list(await bench.bus.send_tasks([due(), due()])) == [WAITS, WAITS]
        assert bench.outlet._line.channel is None
    finally:
        await asyncio.to_thread(broker.resume)
    await sent_at_last(bench, [due("high")])
    assert bench.outlet._line.channel is not channel


async def test_closing_does_not_wait_for_a_frozen_broker(
    broker: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is cut."""
    monkeypatch.setattr(connection, "CLOSE_S", 0.2)
    try:
        async with a_bench(broker.url) as bench:
            await bench.consume()
            wires = [
                link._connection.wire for link in (bench.publishing, bench.consuming) if link._connection
            ]
            await asyncio.to_thread(broker.pause)
        assert [each._transport.is_closing() for each in wires if each._transport] == [True, True]
        assert not bench.publishing.up
        assert not bench.consuming.up
    finally:
        await asyncio.to_thread(broker.resume)
