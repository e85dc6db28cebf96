"""The message bus inside one process: it drains the same outboxes, so that every mode has the same states."""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from parlor.core.shared.bus import Delivery, DueTask, Fact

log = structlog.get_logger()

MOST_WAITING = 2000


class MemoryBus:
    """Ports `MessageBus` and `Inbox`. What it holds dies with the process; the rows behind it do not.

    `shares` says how many of each queue are taken in a turn, so that high goes first and low never starves.
    """

    def __init__(self, shares: dict[str, int]) -> None:
        self._shares = shares
        self._queues: dict[str, deque[Delivery]] = {queue: deque() for queue in shares}
        self._arrived = asyncio.Event()
        self._turn = dict(shares)
        self._paused = False

    async def room(self, queue: str) -> int:
        """Answer how many more may wait."""
        return MOST_WAITING - len(self._queues[queue])

    async def send_tasks(self, due: Sequence[DueTask]) -> Sequence[bool]:
        """Put them into their queues."""
        for one in due:
            headers: dict[str, object] = {"x-parlor-row": 1}
            if one.traceparent is not None:
                headers["traceparent"] = one.traceparent
            self._queues[one.queue].append(
                Delivery(message_id=str(one.task_id), body=b"{}", queue=one.queue, headers=headers)
            )
        self._arrived.set()
        return [True] * len(due)

    async def send_facts(self, facts: Sequence[Fact]) -> Sequence[bool]:
        """Nobody outside this process listens, so each is done."""
        return [True] * len(facts)

    async def idle_queues(self) -> frozenset[str]:
        """Answer the empty ones."""
        return frozenset(queue for queue, waiting in self._queues.items() if not waiting)

    async def take(self, limit: int) -> list[Delivery]:
        """Wait, then take in turns."""
        while self._paused or not any(self._queues.values()):
            self._arrived.clear()
            await self._arrived.wait()
        return [self._next() for _ in range(min(limit, sum(map(len, self._queues.values()))))]

    def _next(self) -> Delivery:
        """Take from the first queue that has something and a share left; a turn goes over many calls."""
        while True:
            for queue, waiting in self._queues.items():
                if waiting and self._turn[queue] > 0:
                    self._turn[queue] -= 1
                    return waiting.popleft()
            self._turn = dict(self._shares)

    async def pause(self) -> None:
        """Hand out nothing more."""
        self._paused = True

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Nothing is kept for a second delivery: the row is."""

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put them at the end."""
        for delivery in deliveries:
            self._queues[delivery.queue].append(delivery)
        self._arrived.set()

    async def refuse(self, delivery: Delivery, reason: str, detail: str) -> None:
        """Only the relay of this process sends here, so a message that cannot be taken is a mistake of ours."""
        log.error("own_message_refused", task_id=delivery.message_id, reason=reason, detail=detail)
