"""Publishing with confirms, many messages at a time."""

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import structlog
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import ChannelPreconditionFailed

from parlor.adapters.rabbitmq import frames
from parlor.adapters.rabbitmq.confirms import Batch, Confirms
from parlor.adapters.rabbitmq.connection import Line, Link
from parlor.adapters.rabbitmq.sieve import Sieve
from parlor.core.shared.bus import Receipt

CONFIRM_S = 5.0
CAREFUL_S = 10.0
LARGEST_FRAME = 131_072  # where the two sides agreed upon no size

log = structlog.get_logger()


class Outgoing(NamedTuple):
    """A message with its address; the id is that in its properties, and tells which one was returned."""

    exchange: str
    routing_key: str
    message_id: str
    properties: bytes
    body: bytes
    mandatory: bool = False


class Outlet:
    """A channel of its own for publishing.

    A message that the broker does not take (406: too large, or properties that it does not accept) costs the channel,
    and with it the confirms of all that were sent together: nobody knows which one it was. So for a while after that
    they are sent one by one. `singly` does so always: of foreign messages, whose ids may be missing or alike, nobody
    could tell which was returned.
    """

    def __init__(self, link: Link, *, singly: bool = False) -> None:
        self.link = link
        self._line = Line(link, prepare=self._listen, lost=self._give_up)
        self._confirms = Confirms()
        self._singly = singly
        self._careful_until = 0.0
        self._turn = asyncio.Lock()

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

    async def publish(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        """Publish all in order; answers what became of each. Never raises."""
        if self._singly or self._turn.locked() or self._careful_until > _now():
            async with self._turn:
                return await self._publish_singly(messages)
        return await self._publish(messages)

    async def _publish_singly(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        """Stop at the first that is not taken, or when their time is over: whoever sends them holds locks meanwhile."""
        receipts: list[Receipt] = []
        ends_at = _now() + CONFIRM_S
        for message in messages:
            receipts += await self._publish([message], alone=True)
            if receipts[-1] is not Receipt.TAKEN or _now() > ends_at:
                break
        return receipts + [Receipt.WAITS] * (len(messages) - len(receipts))

    async def _publish(self, messages: Sequence[Outgoing], *, alone: bool = False) -> list[Receipt]:
        channel = self._line.channel
        if channel is None or self.link.blocked or not messages:
            return [Receipt.WAITS] * len(messages)
        batch = Batch(len(messages))
        try:
            async with asyncio.timeout(CONFIRM_S):
                await self._write(channel, messages, batch)
                await batch.done
        except TimeoutError:
            log.warning("rabbitmq_unconfirmed", messages=batch.outcomes.count(None))
            self._line.replace(channel)
        otherwise = self._blamed(channel, alone=alone)
        return [Receipt.TAKEN if outcome is True else otherwise for outcome in batch.outcomes]

    def _blamed(self, channel: Channel, *, alone: bool) -> Receipt:
        if not _is_closed_over_a_message(channel):
            return Receipt.WAITS
        self._careful_until = _now() + CAREFUL_S
        return Receipt.REFUSED if alone else Receipt.WAITS

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


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_closed_over_a_message(channel: Channel) -> bool:
    closing = channel.closing
    has_ended = closing.done() and not closing.cancelled()
    return has_ended and isinstance(closing.exception(), ChannelPreconditionFailed)
