"""Port Cache: whatever the order of readers and writers, nobody sees less than the last answered write."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from parlor.core.shared.caching import Cache
from tests.contract.caches import KEY, KINDS, Opener, opener


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest) -> Opener:
    return opener(request)


@pytest.fixture
async def cache(opened: Opener) -> AsyncIterator[Cache]:
    async with opened() as cache:
        yield cache


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
