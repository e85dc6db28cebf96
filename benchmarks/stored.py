"""Where the race finds results, and when each was stored: rows in PostgreSQL, or keys in Redis."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from benchmarks.contenders import Contender
from benchmarks.stage import PATIENCE_S, RESULTS_DATABASE, Child
from benchmarks.yard import Yard

POLL_S = 0.02


class Results(ABC):
    """One contender's results."""

    @abstractmethod
    async def clear(self) -> None: ...

    @abstractmethod
    async def count(self) -> int: ...

    @abstractmethod
    async def times(self) -> dict[str, float]:
        """Answer for each key when its result was stored, in seconds since the epoch."""

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Keep the times of what is stored meanwhile."""
        yield

    async def until(self, count: int, *, by: Child) -> float:
        """Wait until a worker has stored so many; answers when that was seen."""
        deadline = time.monotonic() + PATIENCE_S
        while (done := await self.count()) < count:
            if by.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{done} of {count} results. The worker's last words:\n{by.words()[-2000:]}"
                )
            await asyncio.sleep(POLL_S)
        return time.time()


class Rows(Results):
    """A table with `id` and `finished_at`."""

    def __init__(self, yard: Yard, table: str) -> None:
        self._yard = yard
        self._table = table

    async def clear(self) -> None:
        await self._yard.clear()

    async def count(self) -> int:
        query = f"select count(*) from {self._table} where finished_at is not null"
        found: int = await self._yard.database.fetchval(query)
        return found

    async def times(self) -> dict[str, float]:
        rows = await self._yard.database.fetch(f"select id, finished_at from {self._table}")
        return {str(row["id"]): row["finished_at"].timestamp() for row in rows}


class Keys(Results):
    """All keys of a Redis database. Redis says when one is written, for as long as somebody wants to know."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._times: dict[str, float] = {}
        self._watching = False

    async def clear(self) -> None:
        await self._redis.flushdb()

    async def count(self) -> int:
        found: int = len(self._times) if self._watching else await self._redis.dbsize()
        return found

    async def times(self) -> dict[str, float]:
        return self._times

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        self._times, self._watching = {}, True
        await self._redis.config_set("notify-keyspace-events", "E$l")
        async with self._redis.pubsub() as news:
            await news.psubscribe(f"__keyevent@{RESULTS_DATABASE}__:*")
            listening = asyncio.create_task(self._listen(news))
            try:
                yield
            finally:
                listening.cancel()
                self._watching = False
                await self._redis.config_set("notify-keyspace-events", "")

    async def _listen(self, news: PubSub) -> None:
        async for event in news.listen():
            if event["type"] == "pmessage":
                self._times.setdefault(event["data"].decode(), time.time())


@asynccontextmanager
async def results_of(contender: Contender, yard: Yard) -> AsyncIterator[Results]:
    """Open the place where a contender leaves its results."""
    if contender.table is not None:
        yield Rows(yard, contender.table)
        return
    async with Redis.from_url(yard.stage.environment["RESULTS_URL"]) as redis:
        yield Keys(redis)
