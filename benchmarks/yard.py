"""Where tasks are handed out and their results are waited for."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aio_pika
import asyncpg
import structlog
from aio_pika.abc import AbstractChannel, DeliveryMode

from benchmarks import floor_consumer
from benchmarks.enqueue import somebody
from benchmarks.noop import Noop, make_container
from benchmarks.stage import PATIENCE_S, Stage
from parlor.container import Container
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.model import Requester, Task
from parlor.core.tasks.ports import TaskWork
from parlor.entrypoints.setup import declare_topology

FLOOR_QUEUE = "floor"
DEFAULT_QUEUE = "parlor.tasks.default"
QUEUES = (FLOOR_QUEUE, DEFAULT_QUEUE)
POLL_S = 0.1
IN_A_GO = 1_000
_FINISHED = "select finished_at from {0} where finished_at is not null order by finished_at"


@dataclass(frozen=True, slots=True)
class Yard:
    """One connection to each server, and a container that orders tasks as an API process does."""

    stage: Stage
    container: Container
    database: "asyncpg.Connection[Any]"
    broker: AbstractChannel

    async def clear(self) -> None:
        """Leave no task, no result and no message."""
        await self.database.execute("truncate tasks, task_outbox, event_outbox, floor_results")
        for queue in QUEUES:
            await (await self.broker.get_queue(queue, ensure=False)).purge()

    async def order(self, count: int) -> datetime:
        """Store tasks with their outbox rows in one transaction; answers the time of the commit."""
        requester = Requester.of(somebody())
        async with self.container.get(UnitOfWork[TaskWork])() as work:
            for number in range(count):
                await work.tasks.add(Task(TaskId(uuid7()), Noop.kind, {"number": number}, requester))
        now: datetime = await self.database.fetchval("select clock_timestamp()")
        return now

    async def publish(self, count: int, *, exchange: str, key: str) -> None:
        """Publish orders as a foreign producer does, with confirms."""
        target = (
            await self.broker.get_exchange(exchange, ensure=False)
            if exchange
            else self.broker.default_exchange
        )
        for start in range(0, count, IN_A_GO):
            numbers = range(start, min(count, start + IN_A_GO))
            await asyncio.gather(*(target.publish(_message(number), key) for number in numbers))

    async def drained(
        self, table: str, count: int, *, since: datetime | None = None, warm: float = 0.0
    ) -> float:
        """Wait for so many results; answers how many came a second, from `since` or after the first few."""
        await self._until(table, count)
        ended = [row["finished_at"] for row in await self.database.fetch(_FINISHED.format(table))]
        skipped = int(count * warm)
        began = ended[skipped] if since is None else since
        return (count - skipped) / (ended[-1] - began).total_seconds()  # type: ignore[no-any-return]  # of asyncpg's values

    async def consumed(self, queue: str) -> None:
        """Wait until somebody consumes a queue."""
        deadline = time.monotonic() + PATIENCE_S
        while not (await self.broker.declare_queue(queue, passive=True)).declaration_result.consumer_count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody consumes {queue}")
            await asyncio.sleep(0.02)

    async def paced(
        self, table: str, rate: float, seconds: float, send: Callable[[int], Awaitable[TaskId]]
    ) -> list[float]:
        """Send so many a second; answers, in order, how many milliseconds passed until each one's result."""
        sent: dict[TaskId, float] = {}

        async def one(number: int) -> None:
            began = time.time()
            sent[await send(number)] = began

        count, loop = int(rate * seconds), asyncio.get_running_loop()
        begin = loop.time()
        sending = []
        for number in range(count):
            await asyncio.sleep(max(0.0, begin + number / rate - loop.time()))
            sending.append(asyncio.create_task(one(number)))
        await asyncio.gather(*sending)
        await self._until(table, count)
        rows = await self.database.fetch(f"select id, finished_at from {table}")
        return sorted(1000 * (row["finished_at"].timestamp() - sent[row["id"]]) for row in rows)

    async def publish_one(self, number: int) -> TaskId:
        """Publish one order to the consumer that is written by hand."""
        task_id = TaskId(uuid7())
        await self.broker.default_exchange.publish(_message(number, task_id), FLOOR_QUEUE)
        return task_id

    async def _until(self, table: str, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        counting = f"select count(*) from {table} where finished_at is not null"
        while (done := await self.database.fetchval(counting)) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{done} of {count} results in {table} after {PATIENCE_S:.0f} s")
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def a_yard(stage: Stage) -> AsyncIterator[Yard]:
    """Open the connections, and make the queues and the floor's table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    await declare_topology(stage.settings)
    database = await asyncpg.connect(stage.database)
    broker = await aio_pika.connect(stage.rabbitmq)
    container = make_container(stage.settings)
    await container.start()
    try:
        await database.execute(floor_consumer.TABLE)
        channel = await broker.channel()
        await channel.declare_queue(FLOOR_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        yield Yard(stage, container, database, channel)
    finally:
        await container.close()
        await broker.close()
        await database.close()


def _message(number: int, task_id: TaskId | None = None) -> aio_pika.Message:
    return aio_pika.Message(
        json.dumps({"kind": Noop.kind, "payload": {"number": number}}).encode(),
        message_id=str(task_id or uuid7()),
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
    )
