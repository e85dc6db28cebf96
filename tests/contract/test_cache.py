"""Port Cache: one test body over the memory's and Redis's."""

from collections.abc import AsyncIterator

import pytest

from parlor.core.shared.caching import Cache
from tests.contract.caches import KEY, KINDS, Opener, opener
from tests.waiting import eventually


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest) -> Opener:
    return opener(request)


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
