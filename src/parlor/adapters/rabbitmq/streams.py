"""One channel that consumes: what it has delivered, and its settlement."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from aiormq.abc import ChannelFrame, DeliveredMessage
from aiormq.channel import Channel

from parlor.adapters.rabbitmq import frames
from parlor.adapters.rabbitmq.properties import Properties
from parlor.adapters.rabbitmq.settlement import Ledger
from parlor.adapters.rabbitmq.sieve import Received
from parlor.core.shared.bus import Delivery

SETTLE_S = 5.0


@dataclass(eq=False, slots=True)
class Stream:
    """A consuming channel for as long as it lives; settlements after that are dropped."""

    channel: Channel
    ledger: Ledger = field(default_factory=Ledger)
    alive: bool = True
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def acknowledge(self, tags: Collection[int]) -> None:
        """Settle them, with one frame for all that stand in a row."""
        async with (
            self._writing
        ):  # a later one must not overtake: the broker would not know what it stands for
            settled = self.ledger.unsettled(tags)
            marks = self.ledger.marks(settled)
            await self._send([frames.ack(self.channel.number, tag, multiple=row) for tag, row in marks])
            self.ledger.strike(settled)

    async def requeue(self, tags: Collection[int]) -> None:
        """Give them back to their queue."""
        async with self._writing:
            returned = self.ledger.unsettled(tags)
            await self._send([frames.requeue(self.channel.number, tag) for tag in returned])
            self.ledger.strike(returned)

    async def _send(self, written: list[bytes]) -> None:
        if not written or not self.alive:
            return
        try:
            async with asyncio.timeout(
                SETTLE_S
            ):  # nobody empties the queue of a connection that has just died
                await self.channel.write_queue.put(ChannelFrame(b"".join(written), should_close=False))
        except TimeoutError:
            self.alive = False


class Mark(NamedTuple):
    """How a delivery is known to the stream that brought it."""

    stream: Stream
    tag: int
    routing_key: str
    properties: Properties


async def unsieved(message: DeliveredMessage) -> None:
    """Stand in for the callback that the library wants: the sieve lets no delivery through to it."""


def delivery_of(message: Received, stream: Stream, queue: str) -> Delivery:
    """Enter a message into the ledger and make it a delivery."""
    properties = Properties.parse(message.properties)
    stream.ledger.enter(message.tag, queue)
    return Delivery(
        message_id=properties.text("message_id"),
        body=message.body,
        queue=queue,
        headers=properties.headers(),
        content_type=properties.text("content_type"),
        tag=Mark(stream, message.tag, message.routing_key, properties),
    )


def mark_of(delivery: Delivery) -> Mark:
    """Read a delivery's tag."""
    if not isinstance(delivery.tag, Mark):
        raise TypeError("This delivery came from another bus.")
    return delivery.tag
