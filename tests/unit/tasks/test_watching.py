"""Watching a task: hints, the one poll behind them, and what is kept between two looks."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest

from parlor.adapters.memory.feed import MemoryFeed
from parlor.core.shared.actor import SYSTEM, Actor
from parlor.core.shared.errors import DatabaseAway, NotFound
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.tasks import watching
from parlor.core.tasks.waiting import ENDED_CHANNEL, ended_message
from parlor.core.tasks.watching import MOVED_CHANNEL, FeedMoves, Sight, WatchTask, tell_moved
from tests.waiting import PATIENCE_S, eventually

ONE, OTHER = TaskId(uuid7()), TaskId(uuid7())
LONG = 3600.0


@dataclass
class FakeSights:
    """Port TaskSights over versions that a test moves; `away` is the database's state."""

    now: dict[TaskId, int] = field(default_factory=lambda: {ONE: 1, OTHER: 1})
    away: bool = False
    looks: int = 0
    polls: list[set[TaskId]] = field(default_factory=list)

    async def one(self, _viewer: Actor, task_id: TaskId) -> Sight:
        self.looks += 1
        if self.away:
            raise DatabaseAway
        if task_id not in self.now:
            raise NotFound
        return Sight(self.now[task_id], ended=False, json=b"{}")

    async def versions(self, task_ids: Collection[TaskId]) -> Mapping[TaskId, int]:
        self.polls.append(set(task_ids))
        if self.away:
            raise DatabaseAway
        return {task_id: self.now[task_id] for task_id in task_ids if task_id in self.now}


@pytest.fixture
def feed() -> MemoryFeed:
    return MemoryFeed()


@pytest.fixture
def sights() -> FakeSights:
    return FakeSights()


@pytest.fixture
def moves(feed: MemoryFeed, sights: FakeSights) -> FeedMoves:
    return FeedMoves(feed, sights)


@pytest.fixture
def watch_task(sights: FakeSights, moves: FeedMoves) -> WatchTask:
    return WatchTask(sights, moves)


@pytest.fixture
def hints_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_S", LONG)


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.001)


async def test_a_watch_begins_with_the_task_as_it_is(watch_task: WatchTask, sights: FakeSights) -> None:
    sights.now[ONE] = 7
    async with watch_task(SYSTEM, ONE) as watch:
        assert watch.first.version == 7


async def test_what_one_may_not_see_is_not_watched(watch_task: WatchTask, moves: FeedMoves) -> None:
    with pytest.raises(NotFound):
        async with watch_task(SYSTEM, TaskId(uuid7())):
            pass
    assert (moves._watched, moves._polling) == (set(), None)


@pytest.mark.usefixtures("hints_only")
@pytest.mark.parametrize("channel", [MOVED_CHANNEL, ENDED_CHANNEL])
async def test_a_hint_shows_what_is_newer(
    watch_task: WatchTask, sights: FakeSights, feed: MemoryFeed, channel: str
) -> None:
    async with watch_task(SYSTEM, ONE) as watch:
        sights.now[ONE] = 2
        await feed.publish(channel, ended_message([OTHER, ONE]))
        sight = await watch.next(PATIENCE_S)
    assert sight is not None
    assert sight.version == 2


@pytest.mark.usefixtures("hints_only")
async def test_a_hint_of_nothing_new_is_waited_past(
    watch_task: WatchTask, sights: FakeSights, feed: MemoryFeed
) -> None:
    async with watch_task(SYSTEM, ONE) as watch:
        coming = asyncio.create_task(watch.next(PATIENCE_S))
        await tell_moved(feed, [ONE])
        await eventually(lambda: sights.looks == 2)
        assert not coming.done()
        sights.now[ONE] = 2
        await tell_moved(feed, [ONE])
        assert await coming == Sight(2, ended=False, json=b"{}")


@pytest.mark.usefixtures("hints_only")
async def test_whoever_looks_late_sees_the_newest_alone(
    watch_task: WatchTask, sights: FakeSights, feed: MemoryFeed
) -> None:
    async with watch_task(SYSTEM, ONE) as watch:
        for version in range(2, 100):
            sights.now[ONE] = version
            await tell_moved(feed, [ONE])
        sight = await watch.next(PATIENCE_S)
        assert sight is not None
        assert sight.version == 99
        assert await watch.next(0.001) is None


@pytest.mark.usefixtures("hints_only")
async def test_nothing_new_is_none_when_the_time_is_over(watch_task: WatchTask) -> None:
    async with watch_task(SYSTEM, ONE) as watch:
        assert await watch.next(0.001) is None
        assert await watch.next(-1) is None


@pytest.mark.usefixtures("polled")
async def test_a_lost_hint_is_made_up_for(watch_task: WatchTask, sights: FakeSights) -> None:
    async with watch_task(SYSTEM, ONE) as watch:
        sights.now[ONE] = 2
        sight = await watch.next(PATIENCE_S)
    assert sight is not None
    assert sight.version == 2


@pytest.mark.usefixtures("polled")
async def test_one_poll_asks_for_all_that_is_watched(watch_task: WatchTask, sights: FakeSights) -> None:
    async with watch_task(SYSTEM, ONE), watch_task(SYSTEM, ONE), watch_task(SYSTEM, OTHER):
        await eventually(lambda: len(sights.polls) > 3)
    assert sights.polls[-1] == {ONE, OTHER}


@pytest.mark.usefixtures("polled")
async def test_nobody_polls_for_nobody(watch_task: WatchTask, sights: FakeSights, moves: FeedMoves) -> None:
    async with watch_task(SYSTEM, ONE):
        await eventually(lambda: sights.polls)
        polling = moves._polling
    assert polling is not None
    await asyncio.gather(polling, return_exceptions=True)
    assert polling.cancelled()
    async with watch_task(SYSTEM, OTHER):
        await eventually(lambda: {OTHER} in sights.polls)


@pytest.mark.usefixtures("polled")
async def test_with_the_database_away_nothing_is_new_until_it_is_back(
    watch_task: WatchTask, sights: FakeSights, feed: MemoryFeed
) -> None:
    async with watch_task(SYSTEM, ONE) as watch:
        sights.now[ONE], sights.away = 2, True
        await tell_moved(feed, [ONE])
        assert await watch.next(0.05) is None
        sights.away = False
        sight = await watch.next(PATIENCE_S)
    assert sight is not None
    assert sight.version == 2


@pytest.mark.usefixtures("polled")
async def test_a_task_that_is_gone_is_not_found(watch_task: WatchTask, sights: FakeSights) -> None:
    async with watch_task(SYSTEM, ONE) as watch:
        del sights.now[ONE]
        with pytest.raises(NotFound):
            await watch.next(PATIENCE_S)


@pytest.mark.usefixtures("polled")
async def test_a_look_that_was_broken_off_is_made_up_for(
    watch_task: WatchTask, sights: FakeSights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits may be cancelled at any point: the poll still knows what was not seen."""
    looking = asyncio.Event()

    async def never(_viewer: Actor, _task_id: TaskId) -> Sight:
        looking.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with watch_task(SYSTEM, ONE) as watch:
        sights.now[ONE] = 2
        with monkeypatch.context() as stuck:
            stuck.setattr(sights, "one", never)
            coming = asyncio.create_task(watch.next(PATIENCE_S))
            await looking.wait()
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        assert await watch.next(PATIENCE_S) == Sight(2, ended=False, json=b"{}")
