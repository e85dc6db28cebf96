"""How runs ended, and how far the others are, on the way into their rows: each batch is one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

import structlog

from parlor.core.shared.errors import Contended, Unavailable
from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.model import Attempt, Ending, Failed, Postponed, Progress, TaskError
from parlor.core.tasks.ports import Runs
from parlor.core.tasks.waiting import ENDED_CHANNEL, ended_message
from parlor.core.tasks.watching import tell_moved
from parlor.entrypoints.consume_worker.patience import patiently

log = structlog.get_logger()

MOST_IN_A_BATCH = 250
PROGRESS_EVERY_S = 0.25
TELL_EVERY_S = 0.02

# Lets go of the runs under these fences.
Settle = Callable[[Mapping[TaskId, int]], Awaitable[None]]


class Endings:
    """Gathers while the last batch is being stored; what has gathered by then is the next one."""

    def __init__(self, runs: Runs, feed: Feed, *, settle: Settle, give_back: Settle) -> None:
        self._runs = runs
        self._feed = feed
        self._settle = settle
        self._give_back = give_back
        self._waiting: list[Ending] = []
        self._news: dict[TaskId, tuple[int, Progress]] = {}
        self._some = asyncio.Event()
        self._storing = asyncio.Lock()
        self._untold: list[TaskId] = []
        self._news_of_ends = asyncio.Event()

    def add(self, ending: Ending) -> None:
        """Have it stored with the next batch."""
        self._waiting.append(ending)
        self._some.set()

    def report(self, attempt: Attempt, progress: Progress) -> None:
        """Remember the newest of each run."""
        self._news[attempt.task_id] = (attempt.fence, progress)

    def has(self, task_id: TaskId, fence: int) -> bool:
        """Whether this run's end is at hand, not yet stored."""
        return any(one.task_id == task_id and one.fence == fence for one in self._waiting)

    async def keep_storing(self) -> None:
        """Store batch after batch, for ever."""
        while True:
            await self._some.wait()
            self._some.clear()
            await self.store_all()

    async def store_all(self) -> None:
        """Store what is at hand."""
        while self._waiting:
            async with self._storing:  # a shutdown stores too
                await self._store(self._waiting[:MOST_IN_A_BATCH])

    async def keep_reporting(self) -> None:
        """Store the newest progress of all runs a few times a second, for ever."""
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            news, self._news = self._news, {}
            if news:
                try:
                    await self._runs.report(news)
                    await tell_moved(self._feed, news)
                except (Unavailable, Contended) as error:
                    log.warning("progress_not_stored", error=type(error).__name__)

    def tell(self, ended: Iterable[TaskId]) -> None:
        """Have those who wait hear that these have ended. No end waits for that: the feed may be slow."""
        self._untold += ended
        if self._untold:
            self._news_of_ends.set()

    async def keep_telling(self) -> None:
        """Hint at once, then what ended within the next moment in one more hint, for ever."""
        while True:
            await self._news_of_ends.wait()
            self._news_of_ends.clear()
            await self.tell_all()
            await asyncio.sleep(TELL_EVERY_S)

    async def tell_all(self) -> None:
        """Hint what is not told yet."""
        untold, self._untold = self._untold, []
        if untold:
            await self._feed.publish(ENDED_CHANNEL, ended_message(untold))

    async def _store(self, batch: Sequence[Ending]) -> None:
        if not batch:
            return
        for ending in batch:
            self._news.pop(ending.task_id, None)
        accepted = await self._finished(batch)
        del self._waiting[: len(batch)]
        await self._settle({one.task_id: one.fence for one in batch if one.task_id in accepted})
        await self._give_back({one.task_id: one.fence for one in batch if one.task_id not in accepted})
        final = (one for one in batch if not isinstance(one, Postponed))
        self.tell(one.task_id for one in final if one.task_id in accepted)

    async def _finished(self, batch: Sequence[Ending]) -> set[TaskId]:
        """Store all in one statement; if the database chokes on one of them, each by itself, and that one as failed."""
        try:
            return await patiently(partial(self._runs.finish, batch))
        except Exception:
            log.exception("finish_failed", endings=len(batch))
            if len(batch) == 1:
                error = TaskError("invalid_result", "The result cannot be stored.", retryable=False)
                failed = Failed(batch[0].task_id, batch[0].fence, error)
                return await patiently(partial(self._runs.finish, [failed]))
        accepted: set[TaskId] = set()
        for ending in batch:
            accepted |= await self._finished([ending])
        return accepted
