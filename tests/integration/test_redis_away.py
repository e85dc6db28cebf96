"""Redis dies, hangs and comes back: nothing raises, nothing waits long, nothing stale is read, all heals."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from parlor.adapters.redis.cache import RedisCache
from parlor.adapters.redis.client import RETRY_S, SETTLED_S, RedisAway, RedisLink
from parlor.adapters.redis.feed import RedisFeed
from parlor.core.shared.caching import Cached
from tests.servers import Redis
from tests.waiting import eventually

KEY, OTHER = "user:id:1", "user:id:2"
NAMESPACE = "away"
TIMEOUT_S = 1.0  # a busy machine may need more than 0.2 s to answer
UNKNOWN = Cached(value=None, generation=None)


@pytest.fixture
def server() -> Iterator[Redis]:
    """Start a Redis of this test's own, to kill and to freeze."""
    with Redis() as server:
        yield server


@dataclass
class Process:
    """What one process of Parlor has of Redis."""

    link: RedisLink
    cache: RedisCache
    feed: RedisFeed

    async def fill(self, key: str, value: bytes) -> None:
        generation = (await self.cache.look(key)).generation
        assert generation is not None
        await self.cache.store(key, value, generation=generation, ttl_s=60)
        assert (await self.cache.look(key)).value == value

    async def can_fill(self) -> bool:
        return (await self.cache.look(uuid.uuid4().hex)).generation is not None


@asynccontextmanager
async def process(server: Redis, *, most_owed: int = 10_000, connections: int = 8) -> AsyncIterator[Process]:
    link = RedisLink(server.url, connections=connections, timeout_s=TIMEOUT_S)
    cache = RedisCache(link, namespace=NAMESPACE, most_owed=most_owed)
    feed = RedisFeed(link, namespace=NAMESPACE)
    await feed.start()
    try:
        yield Process(link, cache, feed)
    finally:
        await feed.close()
        await cache.close()
        await link.close()


async def test_a_dead_redis_is_a_miss_everywhere(server: Redis) -> None:
    async with process(server) as ours:
        await ours.fill(KEY, b"value")
        server.kill()
        await ours.cache.store(KEY, b"value", generation=1, ttl_s=60)
        assert await ours.cache.look(KEY) == UNKNOWN
        mark = await ours.cache.mark([KEY])
        assert mark
        await ours.cache.drop([KEY], mark)
        await ours.feed.publish("channel", b"hint")


async def test_a_redis_that_was_never_there_is_a_miss_too(server: Redis) -> None:
    server.kill()
    async with process(server) as ours:
        assert await ours.cache.look(KEY) == UNKNOWN
        await ours.cache.drop([KEY], await ours.cache.mark([KEY]))
        server.start()
        await eventually(ours.can_fill)


async def test_a_hanging_redis_is_waited_for_once(server: Redis) -> None:
    """The first call waits in vain, those behind it do not even ask; counted, not timed."""
    now = 0.0
    link = RedisLink(server.url, monotonic=lambda: now)
    cache = RedisCache(link, namespace=NAMESPACE)
    server.pause()
    assert await cache.look(KEY) == UNKNOWN
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


async def test_all_heals_when_redis_is_back(server: Redis) -> None:
    async with process(server) as ours:
        await ours.fill(KEY, b"value")
        server.kill()
        await ours.cache.drop([KEY], await ours.cache.mark([KEY]))
        server.start()
        await eventually(ours.can_fill)
        await ours.cache.look(KEY)

        async def filled() -> bool:
            generation = (await ours.cache.look(KEY)).generation
            if generation is not None:
                await ours.cache.store(KEY, b"new", generation=generation, ttl_s=60)
            return (await ours.cache.look(KEY)).value == b"new"

        await eventually(filled)


async def missed_write(server: Redis, writer: Process, key: str = KEY) -> None:
    """Write while Redis hangs. Unlike a killed one it comes back with all that it knew."""
    server.pause()
    await give_up(writer)
    await writer.cache.drop([key], await writer.cache.mark([key]))


async def give_up(writer: Process) -> None:
    """Notice that Redis is away, so that what follows is not even sent (and then done on its return)."""
    assert await writer.cache.look("any") == UNKNOWN


async def test_a_write_that_redis_missed_is_told_to_it_before_anything_is_read(server: Redis) -> None:
    async with process(server) as ours, process(server) as theirs:
        await ours.fill(KEY, b"old")
        await theirs.fill(OTHER, b"untouched")
        await missed_write(server, ours)
        server.resume()
        assert (await ours.cache.look(KEY)).value is None
        await eventually(ours.can_fill)
        assert (await ours.cache.look(KEY)).value is None
        # Redis itself has forgotten it, by our word: a process that noticed nothing does not find it either.
        assert (await theirs.cache.look(KEY)).value is None
        assert (await theirs.cache.look(OTHER)).value == b"untouched"


async def test_a_process_pays_what_it_owes_without_being_asked(server: Redis) -> None:
    """Nobody reads in this process any more; another one must not find the past for a minute."""
    async with process(server) as ours, process(server) as theirs:
        await ours.fill(KEY, b"old")
        await missed_write(server, ours)
        server.resume()

        async def forgotten() -> bool:
            return (await theirs.cache.look(KEY)).value is None

        await eventually(forgotten)


async def test_too_many_debts_are_paid_by_forgetting_everything(server: Redis) -> None:
    async with process(server, most_owed=5) as ours, process(server) as theirs:
        await ours.fill(KEY, b"old")
        await theirs.fill(OTHER, b"collateral")
        server.pause()
        await give_up(ours)
        keys = [KEY, *(f"key:{number}" for number in range(20))]
        await ours.cache.drop(keys, await ours.cache.mark(keys))
        assert len(ours.cache._owed) <= 5
        server.resume()
        await eventually(ours.can_fill)
        assert (await ours.cache.look(KEY)).value is None
        assert (await theirs.cache.look(OTHER)).value is None
        await theirs.fill(OTHER, b"anew")


async def test_everything_forgotten_includes_who_was_about_to_store(server: Redis) -> None:
    """A reader of another process that began before the missed write stores nothing after it."""
    async with process(server, most_owed=0) as ours, process(server) as theirs:
        slow = (await theirs.cache.look(KEY)).generation
        assert slow is not None
        await missed_write(server, ours)
        server.resume()
        await eventually(ours.can_fill)
        await theirs.cache.store(KEY, b"old", generation=slow, ttl_s=60)
        assert (await theirs.cache.look(KEY)).value is None


async def test_a_reader_from_before_a_restart_cannot_store(server: Redis) -> None:
    """Redis came back empty: what it does not remember, it must not take for unchanged."""
    async with process(server) as ours, process(server) as theirs:
        slow = (await theirs.cache.look(KEY)).generation
        assert slow is not None
        await ours.cache.drop([KEY], await ours.cache.mark([KEY]))
        server.kill()
        server.start()
        await theirs.cache.store(KEY, b"old", generation=slow, ttl_s=60)
        await eventually(theirs.can_fill)
        await theirs.cache.store(KEY, b"old", generation=slow, ttl_s=60)
        assert (await theirs.cache.look(KEY)).value is None


async def test_a_write_cancelled_half_way_is_owed(server: Redis) -> None:
    """Nobody knows whether the word arrived; so it is said again."""
    async with process(server, connections=1) as ours, process(server) as theirs:
        await ours.fill(KEY, b"old")
        server.pause()
        first = asyncio.create_task(ours.cache.look(OTHER))
        await asyncio.sleep(0)
        second = asyncio.create_task(ours.cache.drop([KEY], "mark"))  # waits for the one connection
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await first
        server.resume()

        async def forgotten() -> bool:
            return (await theirs.cache.look(KEY)).value is None

        await eventually(forgotten)


async def test_who_saw_redis_away_believes_no_old_value_until_the_others_had_time(redis_url: str) -> None:
    """In the first 2 s another process may still owe Redis a word about it; fresh values may be stored."""
    now = 0.0
    link = RedisLink(redis_url, monotonic=lambda: now)
    cache = RedisCache(link, namespace=f"test-{uuid.uuid4().hex}")
    generation = (await cache.look(KEY)).generation
    assert generation is not None
    await cache.store(KEY, b"value", generation=generation, ttl_s=60)

    async def fail(_: object) -> None:
        raise OSError

    with pytest.raises(RedisAway):
        await link.ask(fail)
    assert await cache.look(KEY) == UNKNOWN
    now += RETRY_S
    seen = await cache.look(KEY)
    assert seen.value is None
    assert seen.generation is not None
    now += SETTLED_S
    assert (await cache.look(KEY)).value == b"value"
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


async def test_the_feed_is_not_live_while_redis_is_away_and_comes_back(server: Redis) -> None:
    async with process(server) as ours:
        heard: list[bytes] = []
        ours.feed.listen("channel", heard.append)
        await eventually(lambda: ours.feed.live("channel"))
        server.kill()
        await eventually(lambda: not ours.feed.live("channel"))
        await ours.feed.publish("channel", b"to ourselves")
        await eventually(lambda: heard == [b"to ourselves"])
        server.start()
        await eventually(lambda: ours.feed.live("channel"))

        async def through() -> bool:
            await ours.feed.publish("channel", b"through Redis")
            return b"through Redis" in heard

        await eventually(through)


async def test_a_feed_that_starts_without_redis_comes_alive_with_it(server: Redis) -> None:
    server.kill()
    async with process(server) as ours:
        ours.feed.listen("channel", lambda _: None)
        assert not ours.feed.live("channel")
        server.start()
        await eventually(lambda: ours.feed.live("channel"))


async def test_a_feed_whose_redis_falls_silent_is_not_live(server: Redis) -> None:
    """The connection stands, as after a pulled cable; only the missing answers tell."""
    async with process(server) as ours:
        ours.feed.listen("channel", lambda _: None)
        await eventually(lambda: ours.feed.live("channel"))
        server.pause()
        await eventually(lambda: not ours.feed.live("channel"))
        server.resume()
        await eventually(lambda: ours.feed.live("channel"))


async def test_many_callers_share_few_connections(server: Redis) -> None:
    async with process(server, connections=4) as ours:
        await asyncio.gather(*(ours.cache.look(f"key:{number}") for number in range(500)))
        clients = await ours.link.ask(lambda redis: redis.client_list())
        assert len(clients) <= 4 + 1  # the feed's own


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
