"""The throttle while Redis dies, hangs and comes back: limits hold, and nothing but TooMany is raised."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.adapters.redis.client import RedisLink
from parlor.adapters.redis.throttle import RedisThrottle
from parlor.adapters.throttling import SharedThrottle
from parlor.core.identity.throttling import Rule, Throttle
from parlor.core.shared.errors import TooMany
from tests.redis import NAMESPACE, TIMEOUT_S
from tests.servers import Redis
from tests.waiting import eventually

RULE = Rule("plain", tries=6, window_s=3600.0)


@pytest.fixture
def server() -> Iterator[Redis]:
    """Start a Redis of this test's own, to kill and to freeze."""
    with Redis() as server:
        yield server


@asynccontextmanager
async def process(server: Redis) -> AsyncIterator[Throttle]:
    link = RedisLink(server.url, timeout_s=TIMEOUT_S)
    try:
        yield SharedThrottle(RedisThrottle(link, namespace=NAMESPACE), MemoryThrottle())
    finally:
        await link.close()


async def let_in(throttle: Throttle, times: int, key: str = "ada") -> int:
    """Try at once so often; answers how many tries were let in."""

    async def one() -> bool:
        try:
            await throttle.take(RULE, key)
        except TooMany:
            return False
        return True

    return sum(await asyncio.gather(*(one() for _ in range(times))))


async def test_a_limit_goes_on_where_it_was_when_redis_dies(server: Redis) -> None:
    async with process(server) as ours:
        assert await let_in(ours, 4) == 4
        server.kill()
        assert await let_in(ours, 20) == 2
        assert await let_in(ours, 20, "bob") == 6


async def test_without_redis_each_process_counts_for_itself(server: Redis) -> None:
    server.kill()
    async with process(server) as one, process(server) as other:
        assert [await let_in(one, 20), await let_in(other, 20)] == [6, 6]


async def test_with_redis_two_processes_count_together_also_at_once(server: Redis) -> None:
    async with process(server) as one, process(server) as other:
        assert sum(await asyncio.gather(let_in(one, 20), let_in(other, 20))) == 6


async def test_a_redis_that_came_back_empty_opens_nothing(server: Redis) -> None:
    async with process(server) as ours, process(server) as other:
        await let_in(ours, 20)
        server.kill()
        server.start()
        assert await let_in(ours, 20) == 0

        async def together() -> bool:
            """Whether what this process lets in counts in the other one again."""
            await let_in(ours, 20, key := f"key {len(keys)}")
            keys.append(key)
            return await let_in(other, 20, key) == 0

        keys: list[str] = []
        await eventually(together)


async def test_a_redis_that_hangs_holds_nobody_up_twice(server: Redis) -> None:
    """One asks and waits its time out; until a second has passed the others do not even ask."""
    async with process(server) as ours:
        server.pause()
        assert await let_in(ours, 1) == 1
        assert await let_in(ours, 20) == 5
        await ours.give_back(RULE, "ada")
        assert await let_in(ours, 20) == 1
