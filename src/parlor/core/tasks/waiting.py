"""Waiting for a task's end: a hint of it, and the question whether it is true."""

import asyncio
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from parlor.core.shared.actor import Actor
from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.ports import TaskViews

ENDED_CHANNEL = "tasks.ended"
ID_BYTES = 16
POLL_S = 1.0
MAX_WAITING = 1000


class Ends(Protocol):
    """Hints that tasks have ended; one may be lost, or come for a task that runs on."""

    def expect(self, task_id: TaskId) -> AbstractContextManager[asyncio.Event]:
        """Give an event that is set whenever a hint of this task's end arrives."""
        ...


@dataclass(slots=True)
class FeedEnds:
    """Hears the ends of tasks on the feed: each message is the ids of a batch, 16 bytes each."""

    feed: Feed
    _expected: dict[UUID, set[asyncio.Event]] = field(
        init=False, default_factory=dict[UUID, set[asyncio.Event]]
    )
    _listening: bool = field(init=False, default=False)

    @contextmanager
    def expect(self, task_id: TaskId) -> Generator[asyncio.Event]:
        """Give an event that is set whenever a hint of this task's end arrives."""
        self._listen()
        hint = asyncio.Event()
        self._expected.setdefault(task_id, set()).add(hint)
        try:
            yield hint
        finally:
            self._forget(task_id, hint)

    def _listen(self) -> None:
        if not self._listening:
            self.feed.listen(ENDED_CHANNEL, self._heard)
            self._listening = True

    def _heard(self, message: bytes) -> None:
        if len(message) % ID_BYTES:
            return  # another version's words: the poll finds the end too
        for start in range(0, len(message), ID_BYTES):
            for hint in self._expected.get(UUID(bytes=message[start : start + ID_BYTES]), ()):
                hint.set()

    def _forget(self, task_id: TaskId, hint: asyncio.Event) -> None:
        hints = self._expected[task_id]
        hints.discard(hint)
        if not hints:
            del self._expected[task_id]


def ended_message(task_ids: Iterable[TaskId]) -> bytes:
    """Write what goes over the feed when these tasks have ended."""
    return b"".join(task_id.bytes for task_id in task_ids)


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
            await _set_within(hint, min(left, POLL_S))
            hint.clear()


async def _set_within(hint: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await hint.wait()
    except TimeoutError:
        return
