"""What the tasks of these tests do, and how their ends are counted from outside."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import pika

from tests.fleet import Fleet


@asynccontextmanager
async def a_service(slow_s: Callable[[], float]) -> AsyncIterator[str]:
    """Answer each request after a while; the answer is where."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(slow_s())
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class Subscriber:
    """Counts the ends that the exchange of events tells of, by task and event id."""

    def __init__(self, fleet: Fleet) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(fleet.rabbitmq_url))
        self._channel = self._connection.channel()
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(self._queue, f"{fleet.namespace}.events", "tasks.#")
        self.ends: dict[str, set[str]] = {}

    def drain(self) -> int:
        """Read what has come, and answer how many tasks have ended so far."""
        while True:
            method, properties, body = self._channel.basic_get(self._queue, auto_ack=True)
            if method is None:
                return len(self.ends)
            told = json.loads(body)
            self.ends.setdefault(told["task_id"], set()).add(properties.headers["cloudEvents:id"])

    def close(self) -> None:
        self._connection.close()


async def enqueue(me: Any, destination: str, count: int, **more: Any) -> list[str]:
    """Have `count` calls made, a task each."""
    ids = []
    for number in range(count):
        order = {"kind": "http_request", "payload": {"url": f"http://{destination}/{number}"}, **more}
        answer = await me.post("/tasks", json=order)
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["id"])
    return ids


async def permit_http_requests(fleet: Fleet, destination: str) -> None:
    """Let everybody call the service: neither the kind nor the place is otherwise open to plain users."""
    fleet.settings["PARLOR_HTTP_ALLOW"] = destination
    async with fleet.database() as database:
        await database.execute(
            "update roles set permissions = permissions || '{tasks:create:http_request}' where name = 'user'"
        )
