"""What docs/producers.md and the AsyncAPI document promise, seen by a client that Parlor does not use."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pika
from jsonschema import Draft202012Validator, FormatChecker
from pika.adapters.blocking_connection import BlockingChannel

from parlor.core.shared.tracing import trace_id, well_formed
from tests.fleet import Fleet, as_admin, free_port, signed_in
from tests.rabbitmq import Foreign
from tests.waiting import PATIENCE_S, eventually

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID = trace_id(TRACE)
CARD = json.dumps({"kind": "truth_or_dare", "payload": {}}).encode()

Event = tuple[str, pika.BasicProperties, bytes]


@dataclass
class Heard:
    """A queue of this test's own, bound to one of the exchanges."""

    channel: BlockingChannel
    queue: str

    def next(self, count: int = 1) -> list[Event]:
        """Wait for so many messages."""
        got: list[Event] = []
        for method, properties, body in self.channel.consume(
            self.queue, auto_ack=True, inactivity_timeout=PATIENCE_S
        ):
            assert method is not None, f"only {len(got)} of {count} came"
            got.append((method.routing_key, properties, body))
            if len(got) == count:
                break
        self.channel.cancel()
        return got


@contextmanager
def hearing(fleet: Fleet, exchange: str, key: str = "#") -> Iterator[Heard]:
    with pika.BlockingConnection(pika.URLParameters(fleet.rabbitmq_url)) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, f"{fleet.namespace}.{exchange}", key)
        yield Heard(channel, queue)


@dataclass
class Called:
    """An HTTP service that remembers the headers that it was called with."""

    port: int
    heads: list[str] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def a_service() -> AsyncIterator[Called]:
    called = Called(free_port())
    async with await asyncio.start_server(called.answer, "127.0.0.1", called.port):
        yield called


def publish(fleet: Fleet, body: bytes, **properties: Any) -> None:
    message = pika.BasicProperties(content_type="application/json", delivery_mode=2, **properties)
    Foreign(fleet.rabbitmq_url).publish(f"{fleet.namespace}.tasks", "default", body, message)


def flaws(document: dict[str, Any], schema: dict[str, Any], value: object) -> list[str]:
    """Check against a schema that refers to others in its document."""
    validator = Draft202012Validator({**document, **schema}, format_checker=FormatChecker())
    return [error.message for error in validator.iter_errors(value)]


async def test_one_trace_goes_from_a_request_through_the_broker_to_the_world_and_the_subscribers(
    fleet: Fleet,
) -> None:
    async with a_service() as called:
        fleet.settings["PARLOR_HTTP_ALLOW"] = f"127.0.0.1:{called.port}"
        api, worker = await fleet.serve(), await fleet.worker()
        with hearing(fleet, "events", "tasks.*") as events:
            async with as_admin(fleet, api.base) as admin:
                call = {"kind": "http_request", "payload": {"url": f"http://127.0.0.1:{called.port}/"}}
                accepted = await admin.post("/tasks", json=call, headers={"traceparent": TRACE})
                assert accepted.status_code == 202, accepted.text
                ((key, properties, body),) = await asyncio.to_thread(events.next)
    assert (key, json.loads(body)["task_id"]) == ("tasks.task_succeeded", accepted.json()["id"])
    assert properties.headers["traceparent"] == TRACE
    (sent,) = [line for line in called.heads[0].splitlines() if line.startswith("traceparent: ")]
    onward = sent.removeprefix("traceparent: ")
    assert (well_formed(onward), trace_id(onward)) == (onward, TRACE_ID)
    assert onward != TRACE
    assert TRACE_ID in api.log.read_text()
    assert worker.child.poll() is None


async def test_what_happens_inside_a_request_is_told_with_its_trace(fleet: Fleet) -> None:
    api, _ = await fleet.serve(), await fleet.worker()
    with hearing(fleet, "events", "identity.*") as events:
        async with signed_in(api.base) as client:
            for trace in ({"traceparent": TRACE}, {}):
                account = {"email": f"{uuid4().hex}@example.org", "password": "correct horse 42"}
                assert (await client.post("/auth/register", json=account, headers=trace)).status_code == 201
        told = await asyncio.to_thread(events.next, 3)
    traces = [properties.headers.get("traceparent") for _, properties, _ in told]
    assert sorted(traces, key=str) == [TRACE, None, None]


async def test_a_cloud_event_becomes_a_task_in_its_trace(fleet: Fleet) -> None:
    """With either prefix, as text or bytes; the same id again is the same task."""
    await fleet.worker()
    ids = [str(uuid4()) for _ in range(3)]
    said: list[dict[str, Any]] = [
        {
            f"{prefix}specversion": "1.0",
            f"{prefix}id": task_id,
            f"{prefix}type": kind,
            f"{prefix}source": "/tests",
            "traceparent": TRACE,
        }
        for prefix, kind, task_id in zip(
            ("cloudEvents:", "cloudEvents_", "cloudEvents:"),
            ("parlor.task.requested", "parlor.task.requested.v1", "parlor.task.requested.v1"),
            ids,
            strict=True,
        )
    ]
    said[2] = {name: value.encode() for name, value in said[2].items()}
    with hearing(fleet, "events", "tasks.*") as events:
        for headers in (*said, said[0]):
            await asyncio.to_thread(publish, fleet, CARD, headers=headers)
        told = await asyncio.to_thread(events.next, 3)
    assert {properties.headers["cloudEvents:subject"] for _, properties, _ in told} == set(ids)
    assert [properties.headers["traceparent"] for _, properties, _ in told] == [TRACE] * 3
    async with fleet.database() as database:
        await eventually(lambda: _drained(fleet))
        assert await database.fetchval("select count(*) from tasks") == 3


async def _drained(fleet: Fleet) -> bool:
    def look() -> int:
        with pika.BlockingConnection(pika.URLParameters(fleet.rabbitmq_url)) as connection:
            queue = connection.channel().queue_declare(f"{fleet.namespace}.tasks.default", passive=True)
            return int(queue.method.message_count)

    return await asyncio.to_thread(look) == 0


def refused() -> dict[str, Sequence[tuple[bytes, dict[str, Any]]]]:
    """Messages by the reason that they are refused for, as CloudEvents and without."""
    event = {"cloudEvents:id": str(uuid4()), "cloudEvents:type": "parlor.task.requested"}
    other = {**event, "cloudEvents:type": "parlor.task.requested.v9"}
    films = json.dumps({"kind": "films", "payload": {}}).encode()
    return {
        "id_mismatch": [(CARD, {"headers": event, "message_id": str(uuid4())})],
        "invalid_message": [
            (CARD, {"headers": other}),
            (CARD, {"headers": {**event, "cloudEvents:id": "7"}}),
            (CARD, {"headers": {**event, "cloudEvents:specversion": "0.3"}}),
            (CARD, {"message_id": "7", "user_id": "guest", "expiration": "60000", "app_id": "tests"}),
        ],
        "missing_id": [(CARD, {"headers": {"cloudEvents:type": "parlor.task.requested"}})],
        "unknown_kind": [(films, {"headers": event})],
        "not_json": [(b"\xff\x00", {"headers": event})],
    }


async def test_what_cannot_be_taken_comes_back_as_it_went_with_the_reason(fleet: Fleet) -> None:
    """Byte for byte, with its properties, as the document describes it."""
    await fleet.worker()
    document = json.loads(fleet.run("asyncapi").stdout)
    sent = [(reason, body, given) for reason, messages in refused().items() for body, given in messages]
    with hearing(fleet, "dead-letters") as letters:
        for reason, body, given in sent:
            await asyncio.to_thread(publish, fleet, body, **given)
            ((key, properties, returned),) = await asyncio.to_thread(letters.next)
            headers = properties.headers
            assert (key, returned, headers["x-parlor-reason"]) == ("default", body, reason)
            assert headers["x-parlor-detail"]
            assert given.get("headers", {}).items() <= headers.items()
            assert (properties.message_id, properties.app_id) == (
                given.get("message_id"),
                given.get("app_id"),
            )
            assert headers.get("x-parlor-user-id") == given.get("user_id")
            assert headers.get("x-parlor-expiration") == given.get("expiration")
            schema = {"$ref": "#/components/schemas/DeadLetterHeaders"}
            assert flaws(document, schema, headers) == []


async def test_events_are_what_the_document_says(fleet: Fleet) -> None:
    """Their headers and bodies are checked by its schemas; exchanges and queues have its namespace."""
    api, _ = await fleet.serve(), await fleet.worker()
    printed = await asyncio.to_thread(fleet.run, "asyncapi")
    document = json.loads(printed.stdout)
    assert f'"{fleet.namespace}.tasks.high"' in printed.stdout
    with hearing(fleet, "events") as events:
        async with signed_in(api.base) as me:
            await me.post("/tasks", json={"kind": "truth_or_dare", "payload": {"language": "xx"}})
            await me.post("/tasks", json={"kind": "truth_or_dare", "payload": {}})
            told = await asyncio.to_thread(events.next, 3)
    assert sorted(key for key, _, _ in told) == [
        "identity.user_registered",
        "tasks.task_failed",
        "tasks.task_succeeded",
    ]
    for key, properties, body in told:
        kind = f"parlor.{key}.v1"
        message = document["components"]["messages"][kind]
        assert flaws(document, message["headers"], properties.headers) == []
        assert flaws(document, message["payload"], json.loads(body)) == []
        headers = properties.headers
        assert (properties.content_type, properties.delivery_mode) == ("application/json", 2)
        assert (headers["cloudEvents:source"], headers["cloudEvents:type"]) == ("/parlor", kind)
        assert properties.message_id == str(UUID(headers["cloudEvents:id"]))
        assert datetime.fromisoformat(headers["cloudEvents:time"]).utcoffset() is not None
        assert headers["cloudEvents:subject"] in json.loads(body).values()


async def test_a_user_named_by_an_untrusted_producer_is_dropped_and_that_is_logged(fleet: Fleet) -> None:
    worker = await fleet.worker()
    named = {uuid4(): str(uuid4()), uuid4(): "ada"}
    with hearing(fleet, "events", "tasks.*") as events:
        for task_id, user in named.items():
            body = json.dumps({"kind": "truth_or_dare", "payload": {}, "requested_by": user}).encode()
            await asyncio.to_thread(publish, fleet, body, message_id=str(task_id))
        await asyncio.to_thread(events.next, len(named))
    async with fleet.database() as database:
        rows = await database.fetch("select requester_kind, user_id from tasks")
    assert [tuple(row) for row in rows] == [("producer", None)] * 2
    await eventually(lambda: worker.log.read_text().count("requested_by_dropped") == len(named))
    lines = [line for line in worker.log.read_text().splitlines() if "requested_by_dropped" in line]
    assert {json.loads(line)["task_id"] for line in lines} == {str(task_id) for task_id in named}
    assert not any(user in line for line in lines for user in named.values())
