"""The cache while Redis dies, hangs and comes back: nothing raises, nothing stale is read, all heals."""

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from parlor.adapters.redis.cache import RedisCache
from parlor.adapters.redis.client import RETRY_S, SETTLED_S, RedisAway, RedisLink
from tests.redis import UNKNOWN, Process, process
from tests.servers import Redis
from tests.waiting import eventually

KEY, OTHER = "user:id:1", "user:id:2"


@pytest.fixture
def server() -> Iterator[Redis]:
    """Start a Redis of this test's own, to kill and to freeze."""
    with Redis() as server:
        yield server


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
