"""The message bus inside one process: it drains the same outboxes, so that every mode has the same states."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from parlor.core.shared.bus import Delivery, DueTask, Fact, Receipt, Replay, is_producers
from parlor.core.shared.errors import ParlorError
from parlor.core.shared.ids import DeadLetterId
from parlor.core.tasks.model import DeadLetter

log = structlog.get_logger()

MOST_WAITING = 2000

Keep = Callable[[DeadLetter], Awaitable[None]]


class MemoryBus:
    """Ports `MessageBus`, `Inbox` and `QueueDepths`. What it holds dies with the process; the rows behind it do not.

    `shares` says how many of each queue are taken in a turn, so that high goes first and low never starves. `keep`
    stores what is refused. A replay has no row but the outbox's, so it counts as taken once it is settled.
    """

    def __init__(self, shares: dict[str, int], *, keep: Keep) -> None:
        self._shares = shares
        self._keep = keep
        self._settled: dict[DeadLetterId, bool] = {}
        self._queues: dict[str, deque[Delivery]] = {queue: deque() for queue in shares}
        self._arrived = asyncio.Event()
        self._turn = dict(shares)
        self._paused = False

    async def room(self, queue: str) -> int:
        """Answer how many more may wait."""
        return MOST_WAITING - len(self._queues[queue])

    async def ready(self, queue: str) -> int | None:
        """Answer how many wait."""
        return len(self._queues[queue])

    async def send_tasks(self, due: Sequence[DueTask]) -> Sequence[Receipt]:
        """Put them into their queues."""
        for one in due:
            headers: dict[str, object] = {"x-parlor-row": 1}
            if one.traceparent is not None:
                headers["traceparent"] = one.traceparent
            self._queues[one.queue].append(
                Delivery(message_id=str(one.task_id), body=b"{}", queue=one.queue, headers=headers)
            )
        self._arrived.set()
        return [Receipt.TAKEN] * len(due)

    async def send_facts(self, facts: Sequence[Fact]) -> Sequence[Receipt]:
        """Nobody outside this process listens, so each is done."""
        return [Receipt.TAKEN] * len(facts)

    async def send_replays(self, replays: Sequence[Replay]) -> Sequence[Receipt]:
        """Put those that are new into their queues; each is asked about until it is settled."""
        return [self._offer(one) for one in replays]

    def _offer(self, replay: Replay) -> Receipt:
        if self._settled.get(replay.letter_id):
            del self._settled[replay.letter_id]
            return Receipt.TAKEN
        if replay.letter_id not in self._settled:
            self._settled[replay.letter_id] = False
            self._queues[replay.queue].append(_delivery(replay))
            self._arrived.set()
        return Receipt.WAITS

    async def depths(self) -> Mapping[str, int]:
        """Count what waits in each queue."""
        return {queue: len(waiting) for queue, waiting in self._queues.items()}

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
        """Nothing is kept for a second delivery: the row is, of a replay until now."""
        for delivery in deliveries:
            if isinstance(delivery.tag, Replay):
                self._settled[delivery.tag.letter_id] = True

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put them at the end."""
        for delivery in deliveries:
            self._queues[delivery.queue].append(delivery)
        self._arrived.set()

    async def refuse(self, delivery: Delivery, reason: str, detail: str) -> None:
        """Keep a replay as a new dead letter. Any other message is our own, so it is a mistake of ours."""
        if not isinstance(delivery.tag, Replay):
            log.error("own_message_refused", task_id=delivery.message_id, reason=reason, detail=detail)
            return
        try:
            await self._keep(_letter(delivery, delivery.tag, reason, detail))
        except ParlorError as error:
            log.warning("dead_letter_not_kept", error=type(error).__name__)
            del self._settled[delivery.tag.letter_id]  # its row is still there: it is offered again
        else:
            self._settled[delivery.tag.letter_id] = True


def _delivery(replay: Replay) -> Delivery:
    return Delivery(
        message_id=replay.message_id,
        body=replay.body,
        queue=replay.queue,
        headers={name: value for name, value in replay.headers.items() if is_producers(name)},
        content_type=replay.content_type,
        tag=replay,
    )


def _letter(delivery: Delivery, replay: Replay, reason: str, detail: str) -> DeadLetter:
    return DeadLetter(
        reason=reason,
        detail=detail,
        message_id=replay.message_id,
        routing_key=replay.queue,
        headers=delivery.headers,
        body=replay.body,
        content_type=replay.content_type,
        properties=replay.properties,
    )
