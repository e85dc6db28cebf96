"""`kill -9` of the worker under load: nothing is lost, nothing ends twice, and all of it soon.

`make faults` sets FAULT_ROUNDS, and prints what `make test` only asserts.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from typing import Any

import pika

from tests.fleet import Fleet, signed_in
from tests.waiting import eventually

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "2"))
TASKS_A_ROUND = 60


@asynccontextmanager
async def a_slow_service() -> AsyncIterator[str]:
    """Answer each request after up to 0.3 s, so that every kill hits tasks in the middle."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(random.uniform(0, 0.3))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Subscriber:
    """Counts the ends that `parlor.events` tells of, by task and event id."""

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


async def enqueue(me: Any, destination: str) -> list[str]:
    """Send a round's tasks, a few at a time."""
    ids = []
    for number in range(TASKS_A_ROUND):
        url = f"http://{destination}/{number}"
        answer = await me.post("/tasks", json={"kind": "http_request", "payload": {"url": url}, "max_attempts": 50})
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["id"])
    return ids


async def test_a_killed_worker_loses_nothing_and_ends_nothing_twice(fleet: Fleet) -> None:
    kills: list[datetime] = []
    async with a_slow_service() as destination:
        fleet.settings |= {"PARLOR_HTTP_ALLOW": destination}
        api, worker = await fleet.serve(), await fleet.worker()
        await permit_http_requests(fleet)
        with closing(Subscriber(fleet)) as subscriber:
            async with signed_in(api.base) as me:
                sent: list[str] = []
                for _ in range(ROUNDS):
                    sending = asyncio.create_task(enqueue(me, destination))
                    await asyncio.sleep(random.uniform(0.05, 1.0))  # the jitter is the test: a moment nobody chose
                    worker.kill()
                    kills.append(datetime.now(UTC))
                    worker = await fleet.worker()
                    sent += await sending
            await eventually(lambda: subscriber.drain() == len(sent), within=120)
            async with fleet.database() as database:
                rows = await database.fetch("select id, status, attempts, finished_at from tasks")
    ended = Counter(len(events) for events in subscriber.ends.values())
    report(len(sent), ended, rows, kills)
    assert {str(row["id"]) for row in rows if row["status"] == "succeeded"} == set(sent)
    assert ended == {1: len(sent)}


def report(sent: int, ended: Counter[int], rows: Any, kills: list[datetime]) -> None:
    """Say it in numbers; the recovery of a task that lost an attempt counts from the kill before its end."""
    late = [row["finished_at"] for row in rows if row["attempts"] > 1 and row["finished_at"]]
    recoveries = [min((at - kill).total_seconds() for kill in kills if kill < at) for at in late if at > kills[0]]
    twice = sum(count for times, count in ended.items() if times > 1)
    print(
        f"\nkill -9 worker: rounds {ROUNDS}, sent {sent}, ended once {ended[1]}, twice {twice}, "
        f"lost {sent - sum(ended.values())}, attempts lost {len(late)}, longest recovery {max(recoveries, default=0):.1f} s"
    )


async def permit_http_requests(fleet: Fleet) -> None:
    """Let everybody have the kind that a plain user may not use."""
    async with fleet.database() as database:
        await database.execute(
            "update roles set permissions = permissions || '{tasks:create:http_request}' where name = 'user'"
        )
