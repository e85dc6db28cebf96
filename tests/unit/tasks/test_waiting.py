"""Waiting for a task's end: hints, the poll behind them, and the bound on how many wait."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from parlor.core.shared.actor import SYSTEM, Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.tasks import waiting
from parlor.core.tasks.ports import TaskViews
from parlor.core.tasks.waiting import ENDED_CHANNEL, FeedEnds, WaitForEnd, ended_message

ONE, OTHER = TaskId(uuid7()), TaskId(uuid7())


@dataclass
class FakeFeed:
    """Calls whoever listens."""

    heard: list[Callable[[bytes], None]] = field(default_factory=list)

    def live(self, _channel: str) -> bool:
        return True

    async def publish(self, channel: str, message: bytes, *, repeatable: bool = False) -> None:  # noqa: ARG002 - the port's
        assert channel == ENDED_CHANNEL
        for heard in self.heard:
            heard(message)

    def listen(
        self,
        channel: str,
        heard: Callable[[bytes], None],
        resumed: Callable[[], None] | None = None,  # noqa: ARG002 - the port's
    ) -> Callable[[], None]:
        assert channel == ENDED_CHANNEL
        self.heard.append(heard)
        return lambda: self.heard.remove(heard)


@dataclass
class FakeViews:
    """A task that has ended, or not."""

    over: bool = False
    visible: bool = True
    asked: int = 0
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def ended(self, _viewer: Actor, _task_id: TaskId) -> bool:
        self.asked += 1
        self.was_asked.set()
        if not self.visible:
            raise NotFound
        return self.over


@pytest.fixture
def feed() -> FakeFeed:
    return FakeFeed()


@pytest.fixture
def views() -> FakeViews:
    return FakeViews()


@pytest.fixture
def wait(feed: FakeFeed, views: FakeViews) -> WaitForEnd:
    return WaitForEnd(cast("TaskViews", views), FeedEnds(feed))


async def test_what_has_ended_is_not_waited_for(wait: WaitForEnd, views: FakeViews) -> None:
    views.over = True
    await wait(SYSTEM, ONE, seconds=3600)
    assert views.asked == 1


async def test_a_hint_ends_the_wait(
    wait: WaitForEnd, views: FakeViews, feed: FakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 3600)
    async with asyncio.TaskGroup() as group:
        group.create_task(wait(SYSTEM, ONE, seconds=3600))
        await views.was_asked.wait()
        views.over = True
        await feed.publish(ENDED_CHANNEL, ended_message([OTHER, ONE]))


async def test_a_hint_that_is_not_true_is_waited_past(
    wait: WaitForEnd, views: FakeViews, feed: FakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 3600)
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(wait(SYSTEM, ONE, seconds=3600))
        for over in (False, True):
            await views.was_asked.wait()
            views.was_asked.clear()
            assert not waits.done()
            views.over = over
            await feed.publish(ENDED_CHANNEL, ended_message([ONE]))
    assert views.asked == 3


async def test_a_lost_hint_is_made_up_for(
    wait: WaitForEnd, views: FakeViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 0.001)
    async with asyncio.TaskGroup() as group:
        group.create_task(wait(SYSTEM, ONE, seconds=3600))
        await views.was_asked.wait()
        views.over = True


async def test_the_wait_ends_with_its_time(wait: WaitForEnd, views: FakeViews) -> None:
    await wait(SYSTEM, ONE, seconds=0.001)
    assert views.asked == 2


async def test_no_time_is_no_question(wait: WaitForEnd, views: FakeViews) -> None:
    await wait(SYSTEM, ONE, seconds=0)
    assert views.asked == 0


async def test_what_one_may_not_see_is_not_found(wait: WaitForEnd, views: FakeViews) -> None:
    views.visible = False
    with pytest.raises(NotFound):
        await wait(SYSTEM, ONE, seconds=3600)


async def test_beyond_the_bound_nobody_waits_until_somebody_leaves(
    wait: WaitForEnd, views: FakeViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING", 1)
    first = asyncio.create_task(wait(SYSTEM, ONE, seconds=3600))
    await views.was_asked.wait()
    await wait(SYSTEM, OTHER, seconds=3600)
    assert views.asked == 1
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await wait(SYSTEM, OTHER, seconds=0.001)
    assert views.asked > 1


def test_a_hint_reaches_everybody_who_waits_for_that_task_and_nobody_else(feed: FakeFeed) -> None:
    ends = FeedEnds(feed)
    with ends.expect(ONE) as first, ends.expect(ONE) as second, ends.expect(OTHER) as third:
        feed.heard[0](ended_message([ONE]))
        assert [hint.is_set() for hint in (first, second, third)] == [True, True, False]
    assert len(feed.heard) == 1


@pytest.mark.parametrize("message", [b"", b"x" * 15, b"x" * 16, b"x" * 33])
def test_a_strange_hint_is_no_hint(feed: FakeFeed, message: bytes) -> None:
    with FeedEnds(feed).expect(ONE) as hint:
        feed.heard[0](message)
        assert not hint.is_set()


def test_who_waits_no_more_is_forgotten(feed: FakeFeed) -> None:
    ends = FeedEnds(feed)
    with ends.expect(ONE), ends.expect(ONE):
        pass
    assert ends._events == {}
