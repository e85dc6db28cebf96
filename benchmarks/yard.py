"""Where tasks are handed out and their results are waited for."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from benchmarks.enqueue import somebody
from benchmarks.noop import Noop, make_container
from benchmarks.publish import message
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
BY_HAND_TABLES = ("floor_results", "peer_results")
BY_HAND_TABLE = """
create table if not exists {0} (
    id uuid primary key, result jsonb not null, finished_at timestamptz not null default clock_timestamp())"""
POLL_S = 0.1
IN_A_GO = 1_000
_FINISHED = "select finished_at from {0} where finished_at is not null order by finished_at"


@dataclass(frozen=True, slots=True)
class Yard:
    """One connection to each server, and a container that orders tasks as an API process does."""

    stage: Stage
    container: Container
    database: "asyncpg.Connection[Any]"
    broker: AbstractConnection
    channel: AbstractChannel

    async def clear(self, *more_queues: str) -> None:
        """Leave no task, no result and no message."""
        await self.database.execute(f"truncate tasks, task_outbox, event_outbox, {', '.join(BY_HAND_TABLES)}")
        for queue in {*QUEUES, *more_queues}:
            with suppress(ChannelNotFoundEntity):
                async with self.broker.channel() as channel:
                    await (await channel.get_queue(queue)).purge()

    async def consumers(self, queue: str) -> int:
        """How many consume a queue, which may not be there yet."""
        with suppress(ChannelNotFoundEntity):
            async with self.broker.channel() as channel:
                return (
                    await channel.declare_queue(queue, passive=True)
                ).declaration_result.consumer_count or 0
        return 0

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
            await self.channel.get_exchange(exchange, ensure=False)
            if exchange
            else self.channel.default_exchange
        )
        for start in range(0, count, IN_A_GO):
            numbers = range(start, min(count, start + IN_A_GO))
            await asyncio.gather(*(target.publish(message(number), key) for number in numbers))

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
        while not await self.consumers(queue):
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody consumes {queue}")
            await asyncio.sleep(0.02)

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
    await declare_topology(stage.settings)
    database = await asyncpg.connect(stage.database)
    broker = await aio_pika.connect(stage.rabbitmq)
    container = make_container(stage.settings)
    await container.start()
    try:
        for table in BY_HAND_TABLES:
            await database.execute(BY_HAND_TABLE.format(table))
        channel = await broker.channel()
        await channel.declare_queue(FLOOR_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        yield Yard(stage, container, database, broker, channel)
    finally:
        await container.close()
        await broker.close()
        await database.close()
