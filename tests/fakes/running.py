"""What the worker stands on, in memory: an inbox, the runs behind it, a feed. `log` tells what happened in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from parlor.core.shared.bus import Delivery
from parlor.core.shared.events import Event
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.model import Attempt, Ending, Progress, Task
from parlor.core.tasks.ports import FinishingWork

Log = list[tuple[str, object]]


@dataclass(slots=True)
class FakeInbox:
    """Port Inbox: hands out what is put in, and remembers its settlement."""

    log: Log
    limits: list[int] = field(default_factory=list)
    paused: bool = False
    acknowledged: list[Delivery] = field(default_factory=list)
    given_back: list[Delivery] = field(default_factory=list)
    refused: list[tuple[Delivery, str]] = field(default_factory=list)
    _waiting: list[Delivery] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, *deliveries: Delivery) -> None:
        self._waiting += deliveries
        self._arrived.set()

    async def take(self, limit: int) -> list[Delivery]:
        self.limits.append(limit)
        while self.paused or not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        taken, self._waiting = self._waiting[:limit], self._waiting[limit:]
        return taken

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.acknowledged.append(delivery)
            self.log.append(("acknowledge", delivery.message_id))

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        self.given_back += deliveries

    async def pause(self) -> None:
        self.paused = True

    async def refuse(self, delivery: Delivery, reason: str, detail: str) -> None:
        assert detail
        self.refused.append((delivery, reason))


@dataclass(slots=True)
class FakeRuns:
    """Port Runs: what is in `queued` can be claimed, what is in `held` is running under that fence."""

    log: Log
    queued: dict[TaskId, Attempt] = field(default_factory=dict)
    held: dict[TaskId, int] = field(default_factory=dict)
    fences: dict[TaskId, int] = field(default_factory=dict)
    ended: dict[TaskId, Ending] = field(default_factory=dict)
    claims: list[tuple[list[TaskId], list[TaskId]]] = field(default_factory=list)
    held_back: list[Attempt] = field(default_factory=list)
    given_back: dict[TaskId, int] = field(default_factory=dict)
    reported: list[tuple[TaskId, int, Progress]] = field(default_factory=list)
    committed: list[Event] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    chokes_on: Callable[[object], bool] = lambda _: False

    def queue(self, attempt: Attempt) -> None:
        self.queued[attempt.task_id] = attempt

    async def claim(self, known: Sequence[TaskId], born: Sequence[Task]) -> list[Attempt]:
        self.claims.append((list(known), [task.id for task in born]))
        self._fail()
        if any(self.chokes_on(task) for task in born):
            raise ValueError("this cannot be stored")
        made = [Attempt.first(task) for task in born]
        waiting = [self.queued.pop(task_id) for task_id in known if task_id in self.queued]
        return [self._started(attempt) for attempt in (*waiting, *made)]

    async def claim_held_back(self, most: int) -> list[Attempt]:
        claimed, self.held_back = self.held_back[:most], self.held_back[most:]
        return [self._started(attempt) for attempt in claimed]

    def _started(self, attempt: Attempt) -> Attempt:
        fence = self.fences[attempt.task_id] = self.fences.get(attempt.task_id, 0) + 1
        self.held[attempt.task_id] = fence
        return replace(attempt, fence=fence)

    def lose(self, task_id: TaskId) -> None:
        """As if the reaper had found its lease expired."""
        del self.held[task_id]

    async def renew(self, held: Mapping[TaskId, int]) -> set[TaskId]:
        self.log.append(("renew", len(held)))
        return {task_id for task_id, fence in held.items() if self.held.get(task_id) == fence}

    async def report(self, news: Mapping[TaskId, tuple[int, Progress]]) -> None:
        self.reported += [(task_id, fence, progress) for task_id, (fence, progress) in news.items()]

    async def finish(self, endings: Sequence[Ending]) -> set[TaskId]:
        self._fail()
        if any(self.chokes_on(ending) for ending in endings):
            raise ValueError("this cannot be stored")
        return {ending.task_id for ending in endings if self.end(ending)}

    def end(self, ending: Ending) -> bool:
        if self.held.get(ending.task_id) != ending.fence:
            return False
        del self.held[ending.task_id]
        self.ended[ending.task_id] = ending
        self.log.append(("finish", str(ending.task_id)))
        return True

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[FinishingWork]:
        work = FakeFinishingWork(self)
        yield work  # type: ignore[misc]  # a handler of these tests only publishes
        self._fail()
        self.committed += work.events
        for ending in work.endings:
            self.end(ending)

    async def give_back(self, held: Mapping[TaskId, int]) -> None:
        self.given_back |= held
        for task_id in held:
            del self.held[task_id]

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


@dataclass(slots=True)
class FakeFinishingWork:
    """A handler's transaction: what is published and finished in it counts when it ends well."""

    runs: FakeRuns
    events: list[Event] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)

    def publish(self, event: Event) -> None:
        self.events.append(event)

    async def finish(self, ending: Ending) -> bool:
        self.endings.append(ending)
        return self.runs.held.get(ending.task_id) == ending.fence


@dataclass(slots=True)
class FakeFeed:
    """Port Feed: remembers, and lets a test speak."""

    published: list[tuple[str, bytes]] = field(default_factory=list)
    listeners: dict[str, list[Callable[[bytes], None]]] = field(default_factory=dict)

    def live(self, channel: str) -> bool:
        return channel in self.listeners

    async def publish(self, channel: str, message: bytes, *, repeatable: bool = False) -> None:  # noqa: ARG002 - the port's
        self.published.append((channel, message))

    def listen(
        self,
        channel: str,
        heard: Callable[[bytes], None],
        resumed: Callable[[], None] | None = None,  # noqa: ARG002 - the port's
    ) -> Callable[[], None]:
        listening = self.listeners.setdefault(channel, [])
        listening.append(heard)
        return lambda: listening.remove(heard) if heard in listening else None

    def say(self, channel: str, message: bytes = b"") -> None:
        for heard in self.listeners.get(channel, []):
            heard(message)
