"""Publishing and consuming over a RabbitMQ that behaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from parlor.adapters.rabbitmq.connection import visit
from parlor.adapters.rabbitmq.topology import TopologyMismatch, TopologyMissing, check, declare
from parlor.core.shared.bus import Fact, Receipt
from parlor.core.shared.ids import EventId
from tests.rabbitmq import BasicProperties, Bench, BlockingChannel, a_bench, a_namespace, due, got, remove
from tests.waiting import eventually

TAKEN, WAITS, REFUSED = Receipt.TAKEN, Receipt.WAITS, Receipt.REFUSED

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def bench(rabbitmq_url: str) -> AsyncIterator[Bench]:
    async with a_bench(rabbitmq_url) as bench:
        yield bench
    await remove(rabbitmq_url, bench.names)


async def test_a_topology_is_declared_as_often_as_one_likes(rabbitmq_url: str, bench: Bench) -> None:
    """And `check` is content with it."""
    async with visit(rabbitmq_url) as channel:
        await declare(channel, bench.names.namespace)
        await declare(channel, bench.names.namespace)
        await check(channel, bench.names.namespace)


async def test_a_queue_with_other_arguments_is_an_error_that_names_them(
    rabbitmq_url: str, bench: Bench
) -> None:
    name = bench.names.queue("low")
    async with visit(rabbitmq_url) as channel:
        await channel.queue_delete(name)
        other = dict(bench.names.queues()[name]) | {"x-delivery-limit": 5}
        await channel.queue_declare(name, durable=True, arguments=other)
        with pytest.raises(TopologyMismatch) as refused:
            await declare(channel, bench.names.namespace)
    assert refused.value.name == name
    assert "x-delivery-limit is '5' and should be '20'" in str(refused.value)


async def test_a_queue_of_another_kind_is_an_error_that_says_so(rabbitmq_url: str, bench: Bench) -> None:
    name = bench.names.queue("high")
    async with visit(rabbitmq_url) as channel:
        await channel.queue_delete(name)
        await channel.queue_declare(name, durable=True)
        with pytest.raises(TopologyMismatch, match="should be"):
            await declare(channel, bench.names.namespace)


async def test_an_exchange_of_another_type_is_an_error(rabbitmq_url: str, bench: Bench) -> None:
    async with visit(rabbitmq_url) as channel:
        await channel.exchange_delete(bench.names.events)
        await channel.exchange_declare(bench.names.events, exchange_type="fanout", durable=True)
        with pytest.raises(TopologyMismatch, match="type is 'fanout' and should be 'topic'"):
            await declare(channel, bench.names.namespace)


async def test_a_check_names_what_is_missing_and_makes_nothing(rabbitmq_url: str) -> None:
    namespace = a_namespace()
    for _ in range(2):
        async with visit(rabbitmq_url) as channel:
            with pytest.raises(TopologyMissing, match=f"{namespace}.tasks does not exist"):
                await check(channel, namespace)


async def test_an_unroutable_task_counts_as_not_published(bench: Bench) -> None:
    """Those around it do."""
    assert list(await bench.bus.send_tasks([due("high"), due("nowhere"), due("low")])) == [
        TAKEN,
        WAITS,
        TAKEN,
    ]


async def test_a_task_sent_twice_in_a_batch_is_one_message(bench: Bench) -> None:
    """Also when it is returned: the broker's word is about an id."""
    task, lost = due("low"), due("nowhere")
    assert list(await bench.bus.send_tasks([task, lost, task, lost])) == [TAKEN, WAITS, TAKEN, WAITS]
    assert await bench.ready("low") == 1


async def test_a_foreign_client_reads_a_task(bench: Bench) -> None:
    """Everything that the contract says about it."""
    task = due("high", TRACE)
    await bench.bus.send_tasks([task])
    properties, body = await asyncio.to_thread(bench.foreign.get, bench.names.queue("high"))
    assert properties.message_id == str(task.task_id)
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"
    assert {"x-parlor-row": 1, "traceparent": TRACE}.items() <= properties.headers.items()
    assert json.loads(body) == {"id": str(task.task_id)}


async def test_a_foreign_client_reads_a_fact_as_a_cloud_event(bench: Bench) -> None:
    fact = Fact(
        event_id=EventId(UUID(int=1)),
        name="parties.party_founded",
        version=1,
        subject=UUID(int=2),
        sequence=7,
        happened_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        body={"name": "Größe"},
        traceparent=TRACE,
    )

    def subscribe_then(send: asyncio.AbstractEventLoop) -> tuple[BasicProperties, bytes]:
        read: list[tuple[BasicProperties, bytes]] = []

        def listen(channel: BlockingChannel) -> None:
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_bind(queue, bench.names.events, "parties.*")
            sending = asyncio.run_coroutine_threadsafe(bench.bus.send_facts([fact]), send)
            assert list(sending.result()) == [TAKEN]
            read.append(got(channel, queue))

        bench.foreign.do(listen)
        return read[0]

    properties, body = await asyncio.to_thread(subscribe_then, asyncio.get_running_loop())
    assert json.loads(body) == {"name": "Größe"}
    assert properties.content_type == "application/json"
    assert properties.headers == {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": str(UUID(int=1)),
        "cloudEvents:source": "/parlor",
        "cloudEvents:type": "parlor.parties.party_founded.v1",
        "cloudEvents:subject": str(UUID(int=2)),
        "cloudEvents:time": "2026-01-02T03:04:05.000678Z",
        "cloudEvents:sequence": "00000000000000000007",
        "traceparent": TRACE,
    }


async def test_a_fact_that_is_no_json_does_not_stop_the_others(bench: Bench) -> None:
    good: dict[str, object] = {"n": 1}
    bad: dict[str, object] = {"n": object()}
    facts = [
        Fact(EventId(UUID(int=n)), "a.b", 1, UUID(int=0), n, datetime.now(UTC), body)
        for n, body in enumerate((good, bad, good))
    ]
    assert list(await bench.bus.send_facts(facts)) == [TAKEN, REFUSED, TAKEN]


async def test_a_cancelled_batch_leaves_the_channel_usable(bench: Bench) -> None:
    """At every moment of its course, and the later batches get their own answers."""
    for steps in range(20):
        batch = [due("low") for _ in range(50)]
        publishing = asyncio.ensure_future(bench.bus.send_tasks(batch))
        for _ in range(steps):
            await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.wait([publishing])
        assert list(await bench.bus.send_tasks([due("high"), due("nowhere")])) == [TAKEN, WAITS]
    assert await bench.ready("high") == 20


async def test_many_batches_at_once_get_each_their_own_answers(bench: Bench) -> None:
    batches = [[due("high"), *([due("nowhere")] * (n % 2)), due("low")] for n in range(50)]
    answers = await asyncio.gather(*(bench.bus.send_tasks(batch) for batch in batches))
    assert [list(each) for each in answers] == [
        [WAITS if task.queue == "nowhere" else TAKEN for task in batch] for batch in batches
    ]


async def test_a_body_of_many_frames_arrives_whole(bench: Bench) -> None:
    body = bytes(range(256)) * 8192  # 2 MiB
    properties = BasicProperties(message_id="large")
    await asyncio.to_thread(bench.foreign.publish, bench.names.tasks, "low", body, properties)
    inbox = await bench.consume()
    [delivery] = await inbox.take(1)
    assert delivery.body == body
    await inbox.refuse(delivery, "too_large", "more than 1 MiB")
    await eventually(lambda: bench.inbox.ready)
    _, kept = await asyncio.to_thread(bench.foreign.get, bench.names.dead_letters)
    assert kept == body


async def test_an_empty_body_arrives(bench: Bench) -> None:
    await asyncio.to_thread(bench.foreign.publish, bench.names.tasks, "low", b"", BasicProperties())
    [delivery] = await (await bench.consume()).take(1)
    assert (delivery.body, delivery.message_id, dict(delivery.headers)) == (b"", None, {})
