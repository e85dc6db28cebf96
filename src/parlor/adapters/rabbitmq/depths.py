"""How many messages wait in the queues."""

import asyncio

import structlog
from aiormq.exceptions import AMQPError

from parlor.adapters.rabbitmq.connection import Line, Link
from parlor.adapters.rabbitmq.topology import RPC_S, Names

log = structlog.get_logger()


class Depths:
    """Asks the broker, on a channel of its own: a refused question closes the channel it was asked on."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._names = Names(link.namespace)
        self._line = Line(link)

    async def start(self) -> None:
        """Begin to open the channel; does not wait for it."""
        await self._line.start()

    async def close(self) -> None:
        """Close the channel."""
        await self._line.close()

    @property
    def open(self) -> bool:
        """Whether there is a channel to ask on."""
        return self._line.channel is not None

    async def ready(self, queue: str) -> int | None:
        """Count the messages that no consumer has taken; None while there is no answer."""
        channel = self._line.channel
        if channel is None or self.link.blocked:
            return None
        try:
            async with asyncio.timeout(RPC_S):
                declared = await channel.queue_declare(self._names.queue(queue), passive=True)
        except (TimeoutError, AMQPError, OSError, RuntimeError) as error:
            log.warning("rabbitmq_depth_unknown", queue=queue, error=type(error).__name__)
            return None
        return declared.message_count


class DepthsOnDemand:
    """Port `QueueDepths` for a process that has no other business with the broker: it connects once it is asked."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._depths = Depths(link)
        self._started = False

    async def ready(self, queue: str) -> int | None:
        """Ask; the first question only begins to connect."""
        if not self._started:
            self._started = True
            await self._link.start()
            await self._depths.start()
        return await self._depths.ready(queue)

    async def close(self) -> None:
        """Disconnect, if anybody ever asked."""
        if self._started:
            await self._depths.close()
            await self._link.close()
