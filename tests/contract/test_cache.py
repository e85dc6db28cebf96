"""Port Cache: one test body over the memory's and Redis's."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from parlor.adapters.memory.cache import MemoryCache
from parlor.adapters.redis.cache import RedisCache
from parlor.adapters.redis.client import RedisLink
from parlor.core.shared.caching import Cache
from tests.waiting import PATIENCE_S, eventually

KEY = "user:id:1"
Opener = Callable[..., AbstractAsyncContextManager[Cache]]


@pytest.fixture(params=["memory", "redis"])
def opened(request: pytest.FixtureRequest) -> Opener:
    """Open a cache that nobody else uses; `mark_life_s` may be given."""
    if request.param == "memory":
        return opened_memory
    url: str = request.getfixturevalue("redis_url")

    def opened_redis(*, mark_life_s: float = 30.0) -> AbstractAsyncContextManager[Cache]:
        return redis_cache(url, mark_life_s)

    return opened_redis


@asynccontextmanager
async def opened_memory(*, mark_life_s: float = 30.0) -> AsyncIterator[Cache]:
    yield MemoryCache(mark_life_s=mark_life_s)


@asynccontextmanager
async def redis_cache(url: str, mark_life_s: float) -> AsyncIterator[Cache]:
    link = RedisLink(url, timeout_s=PATIENCE_S)  # a busy machine is no reason for a miss
    cache = RedisCache(link, namespace=f"test-{uuid.uuid4().hex}", mark_life_s=mark_life_s)
    try:
        yield cache
    finally:
        await cache.close()
        await link.close()


@pytest.fixture
async def cache(opened: Opener) -> AsyncIterator[Cache]:
    async with opened() as cache:
        yield cache


async def lease(cache: Cache, key: str = KEY) -> int:
    """Miss, and be allowed to store."""
    seen = await cache.look(key)
    assert seen.value is None
    assert seen.generation is not None
    return seen.generation


async def fill(cache: Cache, value: bytes, key: str = KEY) -> None:
    await cache.store(key, value, generation=await lease(cache, key), ttl_s=60)
    assert (await cache.look(key)).value == value


async def test_what_was_stored_is_found(cache: Cache) -> None:
    await fill(cache, b"\x00\xff value")


async def test_an_unknown_key_is_a_miss_that_may_be_filled(cache: Cache) -> None:
    assert await lease(cache) is not None


async def test_keys_do_not_meet(cache: Cache) -> None:
    await fill(cache, b"one", "one")
    await fill(cache, b"two", "two")
    await cache.drop(["one"], await cache.mark(["one"]))
    assert (await cache.look("one")).value is None
    assert (await cache.look("two")).value == b"two"


async def test_any_text_is_a_key(cache: Cache) -> None:
    """What people typed is part of a key: a lone surrogate, a NUL, a line end."""
    await fill(cache, b"value", "user:email:\ud800\x00\r\n*?[")


async def test_a_value_ends_with_its_time(cache: Cache) -> None:
    await cache.store(KEY, b"value", generation=await lease(cache), ttl_s=0.05)

    async def gone() -> bool:
        return (await cache.look(KEY)).value is None

    await eventually(gone)


async def test_readers_at_once_may_all_store(cache: Cache) -> None:
    """No reader takes another's right to store: under load somebody always reads, and nothing would stay."""
    first, second = await lease(cache), await lease(cache)
    await cache.store(KEY, b"first", generation=first, ttl_s=60)
    assert (await cache.look(KEY)).value == b"first"
    await cache.store(KEY, b"second", generation=second, ttl_s=60)
    assert (await cache.look(KEY)).value == b"second"


async def test_an_invented_generation_stores_nothing(cache: Cache) -> None:
    generation = await lease(cache)
    await cache.store(KEY, b"value", generation=generation + 1, ttl_s=60)
    assert (await cache.look(KEY)).value is None


async def test_a_mark_forgets_the_value_and_lets_nothing_be_stored(cache: Cache) -> None:
    await fill(cache, b"old")
    await cache.mark([KEY])
    seen = await cache.look(KEY)
    assert seen.value is None
    assert seen.generation is None


async def test_after_the_drop_the_key_may_be_filled_again(cache: Cache) -> None:
    await cache.drop([KEY], await cache.mark([KEY]))
    await fill(cache, b"new")


async def test_a_slow_reader_cannot_store_under_a_mark(cache: Cache) -> None:
    generation = await lease(cache)
    mark = await cache.mark([KEY])
    await cache.store(KEY, b"old", generation=generation, ttl_s=60)
    assert (await cache.look(KEY)).value is None
    await cache.drop([KEY], mark)


async def test_a_slow_reader_cannot_store_the_past_after_the_drop(cache: Cache) -> None:
    generation = await lease(cache)
    await cache.drop([KEY], await cache.mark([KEY]))
    await cache.store(KEY, b"old", generation=generation, ttl_s=60)
    assert (await cache.look(KEY)).value is None


async def test_a_reader_between_mark_and_drop_cannot_store_after_it(cache: Cache) -> None:
    """It has no generation; the one from before the mark does not serve either."""
    before = await lease(cache)
    mark = await cache.mark([KEY])
    assert (await cache.look(KEY)).generation is None
    await cache.drop([KEY], mark)
    after = await lease(cache)
    assert after != before


async def test_a_drop_forgets_what_was_stored_although_marked(cache: Cache) -> None:
    """A drop is enough by itself: its mark may have been lost with a Redis that restarted."""
    await fill(cache, b"old")
    await cache.drop([KEY], "a-mark-that-is-gone")
    assert (await cache.look(KEY)).value is None


async def test_the_first_of_two_writers_does_not_end_the_mark_of_the_second(cache: Cache) -> None:
    first = await cache.mark([KEY])
    second = await cache.mark([KEY])
    await cache.drop([KEY], first)
    assert (await cache.look(KEY)).generation is None
    await cache.drop([KEY], second)
    await fill(cache, b"new")


async def test_the_second_of_two_writers_does_not_end_the_mark_of_the_first(cache: Cache) -> None:
    first = await cache.mark([KEY])
    second = await cache.mark([KEY])
    await cache.drop([KEY], second)
    assert (await cache.look(KEY)).generation is None
    await cache.drop([KEY], first)
    await fill(cache, b"new")


async def test_one_mark_covers_all_keys_of_a_writer(cache: Cache) -> None:
    keys = ["one", "two", "one"]
    await fill(cache, b"old", "one")
    mark = await cache.mark(keys)
    assert [(await cache.look(key)).generation for key in keys] == [None] * 3
    await cache.drop(keys, mark)
    await fill(cache, b"new", "one")
    await fill(cache, b"new", "two")


async def test_a_drop_twice_is_a_drop_once(cache: Cache) -> None:
    mark = await cache.mark([KEY])
    other = await cache.mark([KEY])
    await cache.drop([KEY], mark)
    await cache.drop([KEY], mark)
    assert (await cache.look(KEY)).generation is None
    await cache.drop([KEY], other)
    await fill(cache, b"new")


async def test_marking_nothing_does_nothing(cache: Cache) -> None:
    await cache.drop([], await cache.mark([]))
    await fill(cache, b"value")


async def test_a_killed_writer_leaves_its_keys_uncached_for_a_while_only(opened: Opener) -> None:
    """Its mark ends by itself, and a reader from before it still cannot store."""
    async with opened(mark_life_s=0.2) as cache:
        before = await lease(cache)
        await cache.mark([KEY])

        async def free() -> bool:
            return (await cache.look(KEY)).generation is not None

        await eventually(free)
        await cache.store(KEY, b"old", generation=before, ttl_s=60)
        assert (await cache.look(KEY)).value is None
        await fill(cache, b"new")


async def test_a_later_writer_does_not_lengthen_a_killed_ones_mark(opened: Opener) -> None:
    async with opened(mark_life_s=0.2) as cache:
        await cache.mark([KEY])
        later = await cache.mark([KEY])
        await cache.drop([KEY], later)

        async def free() -> bool:
            # Other writers come and go the whole time.
            await cache.drop([KEY], await cache.mark([KEY]))
            return (await cache.look(KEY)).generation is not None

        await eventually(free)


class Scene:
    """Readers and writers of one key before a database, each moved one step at a time.

    `answered` is the newest version whose writer has its answer: what no later reader may see less than.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.committed = 0
        self.answered = 0
        self.hits = 0

    async def read(self) -> AsyncGenerator[None, None]:
        oldest = self.answered
        seen = await self.cache.look(KEY)
        if seen.value is not None:
            self.hits += 1
            assert int(seen.value) >= oldest
        yield
        version = self.committed
        yield
        if seen.value is None and seen.generation is not None:
            await self.cache.store(KEY, b"%d" % version, generation=seen.generation, ttl_s=60)

    async def write(self) -> AsyncGenerator[None, None]:
        mark = await self.cache.mark([KEY])
        yield
        self.committed += 1
        version = self.committed
        yield
        await self.cache.drop([KEY], mark)
        self.answered = max(self.answered, version)

    async def roll_back(self) -> AsyncGenerator[None, None]:
        mark = await self.cache.mark([KEY])
        yield
        await self.cache.drop([KEY], mark)

    async def die(self) -> AsyncGenerator[None, None]:
        await self.cache.mark([KEY])
        yield
        self.committed += 1

    async def play(self, script: list[int]) -> None:
        programs = [self.read, self.read, self.read, self.write, self.write, self.roll_back, self.die]
        running = [program() for program in programs]
        for number in script:
            try:
                await anext(running[number])
            except StopAsyncIteration:
                running[number] = programs[number]()
        for each in running:
            await each.aclose()


def scripts(most: int) -> st.SearchStrategy[list[int]]:
    """Who moves next; those who die are few, since their mark ends the caching."""
    usual = st.integers(0, 5)
    return st.lists(usual, max_size=150) | st.lists(usual | st.integers(0, most), max_size=150)


@given(script=scripts(6))
@settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # every example opens a cache of its own
)
async def test_no_reader_sees_less_than_the_last_answered_write(opened: Opener, script: list[int]) -> None:
    """Whatever the order in which readers and writers move."""
    async with opened() as cache:
        await Scene(cache).play(script)


async def test_the_scene_has_hits_at_all(cache: Cache) -> None:
    """The property above says something: values are found, and writers are in between."""
    scene = Scene(cache)
    filled, found, written, filled_anew, found_anew = [0, 0, 0], [1], [3, 3, 3], [2, 2, 2], [0]
    await scene.play([*filled, *found, *written, *filled_anew, *found_anew])
    assert scene.hits == 2
    assert scene.answered == 1


async def test_many_at_once_see_no_past(cache: Cache) -> None:
    """Readers and writers as tasks, in the order that the loop and the server give them."""
    scene, turns = Scene(cache), itertools.count()

    async def run(program: Callable[[], AsyncGenerator[None, None]]) -> None:
        async for _ in program():
            await asyncio.sleep(0.001 * (next(turns) % 3))

    async def again(program: Callable[[], AsyncGenerator[None, None]]) -> None:
        for _ in range(30):
            await run(program)

    await asyncio.gather(*(again(scene.read) for _ in range(8)), *(again(scene.write) for _ in range(3)))
    assert scene.answered == 90
