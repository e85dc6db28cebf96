"""Watching a task: each newer state of it, as its viewer sees it, until it has ended."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Contended, Unavailable
from parlor.core.shared.feed import Expected, Feed, naming, set_within
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.waiting import ENDED_CHANNEL

MOVED_CHANNEL = "tasks.moved"
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Sight:
    """A task as its viewer sees it: the JSON of one version, and whether its run is over."""

    version: int
    ended: bool
    json: bytes


class TaskSights(Protocol):
    """Tasks, for those who watch them."""

    async def one(self, viewer: Actor, task_id: TaskId) -> Sight:
        """Raises NotFound."""
        ...

    async def versions(self, task_ids: Collection[TaskId]) -> Mapping[TaskId, int]:
        """Tell how far each has come, in one statement; what is gone is not in the answer."""
        ...


@dataclass(eq=False, slots=True)
class Watched:
    """A task that somebody watches: the version that they saw last (0: none), and whether there may be a newer one."""

    task_id: TaskId
    version: int
    moved: asyncio.Event


class Moves(Protocol):
    """Notices that tasks move: at once where a hint arrives, and within a second or so where it is lost."""

    def follow(self, task_id: TaskId) -> AbstractContextManager[Watched]:
        """Set `moved` whenever the task may have another version than `version`."""
        ...


@dataclass(slots=True)
class FeedMoves:
    """Port `Moves`: hears of them on the feed, and asks the table once a second about all that is watched."""

    feed: Feed
    sights: TaskSights
    _hints: Expected = field(init=False)
    _watched: set[Watched] = field(init=False, default_factory=set[Watched])
    _polling: asyncio.Task[None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._hints = Expected(self.feed, (MOVED_CHANNEL, ENDED_CHANNEL))

    @contextmanager
    def follow(self, task_id: TaskId) -> Generator[Watched]:
        """Set `moved` whenever the task may have another version than `version`."""
        with self._hints.expect(task_id) as moved:
            watched = Watched(task_id, 0, moved)
            self._watched.add(watched)
            self._poll_while_somebody_watches()
            try:
                yield watched
            finally:
                self._watched.discard(watched)
                self._poll_while_somebody_watches()

    def _poll_while_somebody_watches(self) -> None:
        if not self._watched and self._polling is not None:
            self._polling.cancel()
            self._polling = None
        elif self._watched and (self._polling is None or self._polling.done()):
            self._polling = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            with suppress(Unavailable, Contended):  # the next one finds what this one would have found
                await self._compare()

    async def _compare(self) -> None:
        versions = await self.sights.versions({watched.task_id for watched in self._watched})
        for watched in self._watched:
            if watched.version != versions.get(watched.task_id, 0):
                watched.moved.set()


async def tell_moved(feed: Feed, task_ids: Iterable[TaskId]) -> None:
    """Hint to whoever watches these tasks that they have moved. Never raises."""
    await feed.publish(MOVED_CHANNEL, naming(task_ids))


@dataclass(frozen=True, slots=True)
class Watch:
    """One viewer's watch of one task. However much happens between two looks, only the newest state is kept."""

    first: Sight
    _sights: TaskSights
    _viewer: Actor
    _watched: Watched

    async def next(self, seconds: float) -> Sight | None:
        """Wait for a newer state; None where the seconds have passed first. Raises NotFound.

        While the database is away there is none.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + seconds
        while await set_within(self._watched.moved, deadline - now()):
            self._watched.moved.clear()
            with suppress(Unavailable, Contended):  # the poll sets `moved` again
                sight = await self._sights.one(self._viewer, self._watched.task_id)
                if sight.version != self._watched.version:
                    self._watched.version = sight.version
                    return sight
        return None


@dataclass(frozen=True, slots=True)
class WatchTask:
    """Whoever may see a task watches it."""

    sights: TaskSights
    moves: Moves

    @asynccontextmanager
    async def __call__(self, viewer: Actor, task_id: TaskId) -> AsyncGenerator[Watch]:
        """Begin with the task as it is now; raises NotFound."""
        with self.moves.follow(task_id) as watched:
            first = await self.sights.one(viewer, task_id)
            watched.version = first.version
            yield Watch(first, self.sights, viewer, watched)
