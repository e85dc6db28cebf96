"""Waiting for a task's end: a hint of it, and the question whether it is true."""

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from parlor.core.shared.actor import Actor
from parlor.core.shared.feed import Expected, Feed, naming, set_within
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.ports import TaskViews

ENDED_CHANNEL = "tasks.ended"
POLL_S = 1.0
MAX_WAITING = 1000


class Ends(Protocol):
    """Hints that tasks have ended; one may be lost, or come for a task that runs on."""

    def expect(self, task_id: TaskId, /) -> AbstractContextManager[asyncio.Event]:
        """Give an event that is set whenever a hint of this task's end arrives."""
        ...


class FeedEnds(Expected):
    """Port `Ends`, over the feed."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed, (ENDED_CHANNEL,))


def ended_message(task_ids: Iterable[TaskId]) -> bytes:
    """Write what goes over the feed when these tasks have ended."""
    return naming(task_ids)


@dataclass(slots=True)
class WaitForEnd:
    """Whoever may see a task waits for its end, a bounded time; while 1,000 others wait, nobody more does."""

    views: TaskViews
    ends: Ends
    _waiting: int = field(init=False, default=0)

    async def __call__(self, viewer: Actor, task_id: TaskId, *, seconds: float) -> None:
        """Return when the task has ended or the seconds have passed; raises NotFound."""
        if seconds <= 0 or self._waiting >= MAX_WAITING:
            return
        self._waiting += 1
        try:
            with self.ends.expect(task_id) as hint:
                await self._wait(viewer, task_id, hint, seconds)
        finally:
            self._waiting -= 1

    async def _wait(self, viewer: Actor, task_id: TaskId, hint: asyncio.Event, seconds: float) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + seconds
        while not await self.views.ended(viewer, task_id):
            left = deadline - now()
            if left <= 0:
                return
            await set_within(hint, min(left, POLL_S))
            hint.clear()
