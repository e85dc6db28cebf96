"""The way to a Redis that hangs, or that many want at once: bounded, and all are answered."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from parlor.adapters.redis.cache import RedisCache
from parlor.adapters.redis.client import RETRY_S, RedisAway, RedisLink
from tests.redis import NAMESPACE, UNKNOWN, process
from tests.servers import Redis
from tests.waiting import PATIENCE_S, eventually


@pytest.fixture
def server() -> Iterator[Redis]:
    """Start a Redis of this test's own, to kill and to freeze."""
    with Redis() as server:
        yield server


async def test_a_hanging_redis_is_waited_for_once(server: Redis) -> None:
    """The first call waits in vain, those behind it do not even ask; counted, not timed."""
    now = 0.0
    link = RedisLink(server.url, monotonic=lambda: now)
    cache = RedisCache(link, namespace=NAMESPACE)
    server.pause()
    assert await cache.look("key") == UNKNOWN
    asked = 0

    async def ask(_: object) -> None:
        nonlocal asked
        asked += 1

    for _ in range(1000):
        with pytest.raises(RedisAway):
            await link.ask(ask)
    assert asked == 0
    now += RETRY_S
    await link.ask(ask)
    assert asked == 1
    await link.close()


async def test_one_asks_for_all_whether_redis_is_back(redis_url: str) -> None:
    now = 0.0
    link = RedisLink(redis_url, monotonic=lambda: now)
    asked, answer = 0, asyncio.Event()

    async def fail(_: object) -> None:
        raise OSError

    async def ask(_: object) -> None:
        nonlocal asked
        asked += 1
        await answer.wait()

    with pytest.raises(RedisAway):
        await link.ask(fail)
    now += RETRY_S
    probe = asyncio.create_task(link.ask(ask))
    await eventually(lambda: asked)
    with pytest.raises(RedisAway):
        await link.ask(ask)
    answer.set()
    await probe
    await link.ask(ask)
    assert asked == 2
    await link.close()


async def test_many_callers_share_few_connections(server: Redis) -> None:
    watcher = RedisLink(server.url, timeout_s=PATIENCE_S)
    async with process(server, connections=4) as ours:
        await asyncio.gather(*(ours.cache.look(f"key:{number}") for number in range(500)))
        clients = await watcher.ask(lambda redis: redis.client_list())
        assert len(clients) <= 4 + 2  # the feed's own, and the watcher's
    await watcher.close()


async def test_many_callers_at_a_hanging_redis_are_all_answered(server: Redis) -> None:
    async with process(server, connections=4) as ours:
        server.pause()
        looks = await asyncio.gather(*(ours.cache.look(f"key:{number}") for number in range(500)))
        assert set(looks) == {UNKNOWN}
        server.resume()
        await eventually(ours.can_fill)


async def test_cancelled_callers_give_their_connections_back(server: Redis) -> None:
    link = RedisLink(server.url, connections=2)

    async def ping() -> bool:
        return bool(await link.ask(lambda redis: redis.ping()))

    for _ in range(50):
        await _cancelled(ping)
    await eventually(ping)
    await asyncio.gather(*(ping() for _ in range(20)))
    await link.close()


async def _cancelled(call: Callable[[], Awaitable[object]]) -> None:
    tasks = [asyncio.ensure_future(call()) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
