"""One answer for all who look within a moment: read once, never old, and no failure is kept."""

import asyncio

import pytest

from parlor.entrypoints.admin.kept import KEPT_FOR_S, Kept
from tests.waiting import eventually


class Source:
    """Counts its readings; they wait at a gate, and fail where they are told to."""

    def __init__(self) -> None:
        self.read = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.now = 0.0
        self.fails = False
        self.kept = Kept(self._read, monotonic=lambda: self.now)

    async def _read(self) -> int:
        self.read += 1
        answer = self.read
        await self.gate.wait()
        if self.fails:
            raise ConnectionError("away")
        return answer


@pytest.fixture
def source() -> Source:
    return Source()


async def test_who_asks_within_two_seconds_gets_the_same(source: Source) -> None:
    assert await source.kept() == 1
    source.now += KEPT_FOR_S - 0.01
    assert await source.kept() == 1
    source.now += 0.01
    assert await source.kept() == 2


async def test_ten_who_ask_at_once_cost_one_reading(source: Source) -> None:
    source.gate.clear()
    asking = [asyncio.create_task(source.kept()) for _ in range(10)]
    await eventually(lambda: source.read)
    source.now += KEPT_FOR_S * 9  # however long it takes
    asking.append(asyncio.create_task(source.kept()))
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*asking) == [1] * 11


async def test_one_who_goes_away_does_not_end_it_for_the_others(source: Source) -> None:
    source.gate.clear()
    leaving, staying = (asyncio.create_task(source.kept()) for _ in range(2))
    await eventually(lambda: source.read)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    source.gate.set()
    assert await staying == 1


async def test_a_failure_is_told_and_not_kept(source: Source) -> None:
    source.fails = True
    with pytest.raises(ConnectionError):
        await source.kept()
    source.fails = False
    assert await source.kept() == 2
