"""The inbox over RabbitMQ: deliveries of tasks, and their settlement."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from aiormq.channel import Channel

from parlor.adapters.rabbitmq.connection import Line, Link
from parlor.adapters.rabbitmq.depths import Depths
from parlor.adapters.rabbitmq.outlet import Outgoing, Outlet
from parlor.adapters.rabbitmq.refusal import refusal
from parlor.adapters.rabbitmq.sieve import Received, Sieve
from parlor.adapters.rabbitmq.streams import Stream, delivery_of, mark_of, unsieved
from parlor.adapters.rabbitmq.supervision import end, is_cancelled, pause
from parlor.adapters.rabbitmq.topology import QUEUES, RPC_S, Names
from parlor.adapters.rabbitmq.waiting import Waiting
from parlor.core.shared.bus import Delivery, Receipt

PREFETCH = (64, 32, 8)
QUIET_S = 30.0

log = structlog.get_logger()


class RabbitInbox:
    """Consumes the task queues, each with a prefetch of its own, so that none starves another."""

    def __init__(
        self,
        link: Link,
        outlet: Outlet,
        *,
        prefetch: Sequence[int] = PREFETCH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outlet = outlet
        self._names = Names(link.namespace)
        self._prefetch = dict(zip(QUEUES, prefetch, strict=True))
        self._clock = clock
        self._depths = Depths(link)
        self._line = Line(link, prepare=self._consume, lost=self._lose)
        self._stream: Stream | None = None
        self._waiting = Waiting(self._prefetch)
        self._arrived = asyncio.Event()
        self._moved: dict[str, float] = {}
        self._refusals: set[asyncio.Task[None]] = set()
        self._is_paused = False

    async def start(self) -> None:
        """Begin to consume; does not wait for it."""
        await self._depths.start()
        await self._line.start()

    async def close(self) -> None:
        """Stop, and give back what is unsettled."""
        for refusing in list(self._refusals):
            await end(refusing)
        await self._line.close()
        await self._depths.close()

    async def pause(self) -> None:
        """Take no more, for good: what was not taken goes back, what was taken can still be settled."""
        self._is_paused = True
        stream, channel = self._stream, self._line.channel
        if stream is not None and channel is not None:
            await _cancel_consumers(channel)
            await stream.requeue([mark_of(each).tag for each in self._waiting.drain()])

    async def take(self, limit: int) -> list[Delivery]:
        while self._is_paused or not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.take(limit)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        for stream, tags in self._by_stream(deliveries).items():
            await stream.acknowledge(tags)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        for stream, tags in self._by_stream(deliveries).items():
            await stream.requeue(tags)

    async def refuse(self, delivery: Delivery, reason: str, detail: str) -> None:
        letter = refusal(delivery, self._names.dead_letters, reason, detail)
        if not await self._move(delivery, letter):
            refusing = asyncio.create_task(self._insist(delivery, letter))
            self._refusals.add(refusing)
            refusing.add_done_callback(self._refusals.discard)

    @property
    def ready(self) -> bool:
        """Whether the queues are being consumed."""
        return self._line.channel is not None and self._depths.open

    async def check(self) -> None:
        """Raise ConnectionError unless it is healthy."""
        if not await self.healthy():
            raise ConnectionError("no connection, or no delivery for 30 s although the queue is not empty")

    async def healthy(self) -> bool:
        """Whether deliveries come: not so when a queue has messages and sends none, or gives no answer."""
        return self.ready and not any([await self._stalls(queue) for queue in QUEUES])

    def _by_stream(self, deliveries: Sequence[Delivery]) -> dict[Stream, list[int]]:
        tags: dict[Stream, list[int]] = defaultdict(list)
        for delivery in deliveries:
            mark = mark_of(delivery)
            tags[mark.stream].append(mark.tag)
            self._moved[delivery.queue] = self._clock()
        return tags

    async def _move(self, delivery: Delivery, letter: Outgoing) -> bool:
        moved = await self._outlet.publish([letter]) == [Receipt.TAKEN]
        if moved:
            await self.acknowledge([delivery])
        return moved

    async def _insist(self, delivery: Delivery, letter: Outgoing) -> None:
        """Try until it is moved or its channel gone: given back, it would come again at once, and count."""
        failures = 1
        while mark_of(delivery).stream.alive:
            await asyncio.sleep(pause(failures))
            failures += 1
            if await self._move(delivery, letter):
                return

    async def _stalls(self, queue: str) -> bool:
        held = self._stream.ledger.held(queue) if self._stream is not None else 0
        is_quiet = self._clock() - self._moved.get(queue, self._clock()) >= QUIET_S
        return is_quiet and held < self._prefetch[queue] and await self._depths.ready(queue) != 0

    async def _consume(self, channel: Channel, sieve: Sieve) -> None:
        self._stream = stream = Stream(channel)
        sieve.receivers[channel.number] = partial(self._receive, stream)
        channel.on_consumer_cancel_callbacks.add(lambda _: self._line.replace(channel))
        for queue in QUEUES:
            self._moved[queue] = self._clock()
            await channel.basic_qos(prefetch_count=self._prefetch[queue], timeout=RPC_S)
            await channel.basic_consume(self._names.queue(queue), unsieved, consumer_tag=queue, timeout=RPC_S)
        if self._is_paused:
            await _cancel_consumers(channel)

    def _receive(self, stream: Stream, message: Received) -> None:
        if not stream.alive:
            return
        self._waiting.put(delivery_of(message, stream, message.consumer))
        self._moved[message.consumer] = self._clock()
        self._arrived.set()

    def _lose(self) -> None:
        if self._stream is not None:
            self._stream.alive = False
        self._stream = None
        self._waiting.drain()


async def _cancel_consumers(channel: Channel) -> None:
    try:
        for tag in list(channel.consumers):
            await channel.basic_cancel(tag, timeout=RPC_S)
    except asyncio.CancelledError:
        if is_cancelled():
            raise
    except Exception as error:  # noqa: BLE001 - the channel is gone, and its consumers with it
        log.info("rabbitmq_consumers_gone", error=type(error).__name__)
