"""Publishing with confirms, many messages at a time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import structlog
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel

from parlor.adapters.rabbitmq import frames
from parlor.adapters.rabbitmq.confirms import Batch, Confirms
from parlor.adapters.rabbitmq.connection import Line, Link
from parlor.adapters.rabbitmq.sieve import Sieve

CONFIRM_S = 5.0
LARGEST_FRAME = 131_072  # where the two sides agreed upon no size

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message with its address; the id is that in its properties, and tells which one was returned."""

    exchange: str
    routing_key: str
    message_id: str
    properties: bytes
    body: bytes
    mandatory: bool = False


class Outlet:
    """A channel of its own for publishing."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._line = Line(link, prepare=self._listen, lost=self._give_up)
        self._confirms = Confirms()

    async def start(self) -> None:
        """Begin to open the channel; does not wait for it."""
        await self._line.start()

    async def close(self) -> None:
        """Close the channel; what was not confirmed counts as not published."""
        await self._line.close()

    @property
    def ready(self) -> bool:
        """Whether there is a channel, and a broker that takes messages."""
        return self._line.channel is not None and not self.link.blocked

    async def publish(self, messages: Sequence[Outgoing]) -> list[bool]:
        """Publish all in order; answers for each whether the broker has it. Never raises."""
        channel = self._line.channel
        if channel is None or self.link.blocked or not messages:
            return [False] * len(messages)
        batch = Batch(len(messages))
        try:
            async with asyncio.timeout(CONFIRM_S):
                await self._write(channel, messages, batch)
                await batch.done
        except TimeoutError:
            log.warning("rabbitmq_unconfirmed", messages=batch.outcomes.count(None))
            self._line.replace(channel)
        return [outcome is True for outcome in batch.outcomes]

    async def _listen(self, channel: Channel, sieve: Sieve) -> None:
        self._confirms = sieve.publishers[channel.number] = Confirms()

    async def _write(self, channel: Channel, messages: Sequence[Outgoing], batch: Batch) -> None:
        # Cancelled here, nothing was sent; and nothing else runs between the sending and the counting.
        await channel.write_queue.put(_frame(channel, messages))
        self._confirms.expect(batch, messages)
        if self._line.channel is not channel:
            self._give_up()

    def _give_up(self) -> None:
        self._confirms.give_up()


def _frame(channel: Channel, messages: Sequence[Outgoing]) -> ChannelFrame:
    largest = channel.connection.connection_tune.frame_max or LARGEST_FRAME
    written = chain.from_iterable(_pieces(channel.number, each, largest) for each in messages)
    return ChannelFrame(payload=b"".join(written), should_close=False)


def _pieces(number: int, message: Outgoing, largest: int) -> list[bytes]:
    target = frames.address(message.exchange, message.routing_key, mandatory=message.mandatory)
    return frames.publish(number, target, message.properties, message.body, largest)
