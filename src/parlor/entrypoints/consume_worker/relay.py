"""Outbox to bus: woken by hints, by its own success, or by a poll every 250 ms."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from parlor.core.shared.bus import FACTS_DUE, REPLAYS_DUE, TASKS_DUE, MessageBus, Outboxes, Receipt
from parlor.core.shared.errors import Contended, ParlorError
from parlor.core.shared.feed import Feed, set_within
from parlor.core.shared.meters import Meters
from parlor.core.tasks.model import Priority

log = structlog.get_logger()

BATCH = 500
REPLAYS = 32  # bodies as large as they come, all in memory
POLL_S = 0.25
AWAY_S = 1.0
ROOM_AGE_S = 0.5
GATHER_S = 0.02


SentT = TypeVar("SentT")
Send = Callable[[Sequence[SentT]], Awaitable[Sequence[Receipt]]]


class RelayMeter:
    """What is counted about the relay."""

    def __init__(self, meters: Meters) -> None:
        self._messages = meters.tally(
            "parlor_relay_messages_total",
            "Messages that were sent, by what the broker made of them: taken, waits, refused.",
            "outbox",
            "receipt",
        )
        self._confirming = meters.timing(
            "parlor_relay_confirm_seconds", "How long the broker took to confirm a batch.", "outbox"
        )
        self.rounds = meters.tally(
            "parlor_relay_rounds_total",
            "Rounds over an outbox that came to their end; while nothing is due, 4 a second.",
        ).of()

    def counted(self, outbox: str, send: Send[SentT]) -> Send[SentT]:
        """Wrap what sends the rows of an outbox."""
        spread = self._confirming.of(outbox)
        cells = {receipt: self._messages.of(outbox, receipt.name.lower()) for receipt in Receipt}

        async def counted(batch: Sequence[SentT]) -> Sequence[Receipt]:
            began = time.perf_counter()
            receipts = await send(batch)
            spread.see(time.perf_counter() - began)
            for receipt, times in Counter(receipts).items():
                cells[receipt].n += times
            return receipts

        return counted


@dataclass(slots=True)
class Room:
    """How many messages a queue may still take, as far as we know: others send there too, and workers make room."""

    left: int
    asked_at: float


class Relay:
    """Publishes the outboxes. Any number of relays may run; each row is sent by one at a time."""

    def __init__(
        self, *, bus: MessageBus, outboxes: Outboxes, feed: Feed, meters: Meters | None = None
    ) -> None:
        self._bus = bus
        meter = RelayMeter(meters or Meters())
        self._rounds = meter.rounds
        self._send_tasks = meter.counted("tasks", bus.send_tasks)
        self._send_facts = meter.counted("events", bus.send_facts)
        self._send_replays = meter.counted("replays", bus.send_replays)
        self._outboxes = outboxes
        self._feed = feed
        self._room: dict[str, Room] = {}
        self._named: set[str] = set()
        self._was_named = False
        self._loops: list[asyncio.Task[None]] = []
        self._deaf: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin to listen and to publish."""
        self._deaf.append(self._feed.listen(TASKS_DUE, self._hear_queues))
        rounds = (
            (TASKS_DUE, self._relay_tasks),
            (REPLAYS_DUE, self._relay_replays),
            (FACTS_DUE, self._relay_facts),
        )
        for channel, relay in rounds:
            due = asyncio.Event()
            self._deaf.append(self._feed.listen(channel, partial(_set, due)))
            self._loops.append(asyncio.create_task(self._keep(relay, due)))

    def failed(self) -> BaseException | None:
        """What ended one of the loops, if something did."""
        return next((loop.exception() for loop in self._loops if loop.done() and not loop.cancelled()), None)

    async def stop(self) -> None:
        """End; what was sent and not yet deleted is sent again by the next relay."""
        for end in self._deaf:
            end()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def _keep(self, relay: Callable[[], Awaitable[bool]], due: asyncio.Event) -> None:
        while True:
            due.clear()
            try:
                more = await relay()
                self._rounds.n += 1
            except (ParlorError, Contended) as error:
                log.warning("relay_waits", error=type(error).__name__)
                await asyncio.sleep(AWAY_S)
                continue
            if not more:
                await set_within(due, POLL_S)

    async def _relay_tasks(self) -> bool:
        """One round over the queues that were named, else over all; answers whether another should follow at once.

        Every second round at least is over all: hints of one queue do not hide another, whose hint was lost.
        """
        named = [queue for queue in Priority if queue in self._named and not self._was_named]
        self._was_named = bool(named)
        self._named.clear()
        sent = [await self._relay_queue(queue) for queue in named or await self._outboxes.busy_queues()]
        return any(sent)

    def _hear_queues(self, message: bytes) -> None:
        self._named.update(message.decode(errors="replace").split(","))

    async def _relay_queue(self, queue: str) -> int:
        """Send what there is room for. How much that is, is asked after sending: nobody waits for the answer."""
        room = self._room.get(queue) or await self._ask_room(queue)
        if room.left <= 0:
            room = await self._ask_room(queue)
        if room.left <= 0:
            return 0
        sent = await self._outboxes.relay_tasks(queue, min(BATCH, room.left), self._send_tasks)
        room.left -= sent
        if room.left < BATCH or asyncio.get_running_loop().time() > room.asked_at + ROOM_AGE_S:
            await self._ask_room(queue)
        return sent

    async def _ask_room(self, queue: str) -> Room:
        asked_at = asyncio.get_running_loop().time()
        room = self._room[queue] = Room(left=await self._bus.room(queue), asked_at=asked_at)
        return room

    async def _relay_replays(self) -> bool:
        """One round over the queues to which something is replayed, as far as there is room."""
        sent = 0
        for queue in await self._outboxes.busy_replays():
            room = min(REPLAYS, await self._bus.room(queue))
            if room > 0:
                sent += await self._outboxes.relay_replays(queue, room, self._send_replays)
        return sent > 0

    async def _relay_facts(self) -> bool:
        """One round over the lanes. Nobody waits for an event, so those of a moment go together."""
        await asyncio.sleep(GATHER_S)
        lanes = await self._outboxes.busy_lanes()
        return bool(lanes) and await self._outboxes.relay_facts(lanes, BATCH, self._send_facts) > 0


def _set(due: asyncio.Event, _: bytes) -> None:
    due.set()
