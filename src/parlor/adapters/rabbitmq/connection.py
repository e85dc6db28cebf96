"""The connection to the broker and the channels on it, each made anew whenever it is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import structlog
from aiormq.abc import AbstractConnection
from aiormq.channel import Channel
from aiormq.exceptions import ChannelNotFoundEntity
from yarl import URL

from parlor.adapters.rabbitmq import topology
from parlor.adapters.rabbitmq.sieve import Sieve
from parlor.adapters.rabbitmq.supervision import end, first, keep
from parlor.adapters.rabbitmq.wire import Wire

HEARTBEAT_S = 15
CONNECT_S = 5.0
CLOSE_S = 5.0

log = structlog.get_logger()


class WiredConnection(aio_pika.Connection):
    """aio-pika's connection over a wire of ours."""

    def __init__(self, url: URL, **options: Any) -> None:
        super().__init__(url, **options)
        self.wire = Wire()
        self.kwargs["transport_factory"] = self.wire

    @property
    def channels(self) -> AbstractConnection:
        """What channels are opened on: the layer below aio-pika's own, which costs less for each message."""
        if self.transport is None:
            raise ConnectionError("There is no connection.")
        return self.transport.connection

    async def hang_up(self) -> None:
        """Take leave; a broker that does not answer is left without."""
        closing = asyncio.ensure_future(self.close())
        await asyncio.wait([closing], timeout=CLOSE_S)
        self.wire.cut()
        await asyncio.wait([closing], timeout=CLOSE_S)
        await _stopped(closing)


class Link:
    """A connection that comes back, with its topology, for as long as it takes."""

    def __init__(self, url: str, namespace: str, *, name: str = "parlor") -> None:
        self.namespace = namespace
        self.problem: str | None = None
        self._url = url
        self._name = name
        self._connection: WiredConnection | None = None
        self._is_up = asyncio.Event()
        self._outdated = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether the broker answers and has what we need."""
        return self._is_up.is_set()

    @property
    def blocked(self) -> bool:
        """Whether the broker, short of memory or disk, takes no messages at present."""
        return self._connection is not None and self._connection.wire.sieve.blocked

    async def start(self) -> None:
        """Begin to connect; does not wait for it."""
        self._task = asyncio.create_task(keep(self._connect, what="connection"))

    async def close(self) -> None:
        """Disconnect and stay so."""
        await end(self._task)

    def renew(self) -> None:
        """Connect anew, and declare the topology again: something that belongs to it was not found."""
        self._outdated.set()

    async def connection(self) -> WiredConnection:
        """Wait for the connection."""
        await self._is_up.wait()
        if self._connection is None:
            raise ConnectionError("The connection was lost.")
        return self._connection

    async def _connect(self) -> None:
        try:
            connection = await connect(self._url, self._name)
        except Exception as error:
            self.problem = str(error) or type(error).__name__
            raise
        try:
            await self._hold(connection)
        finally:
            self._is_up.clear()
            self._connection = None
            await connection.hang_up()

    async def _hold(self, connection: WiredConnection) -> None:
        try:
            await _declare(connection.channels, self.namespace)
        except Exception as error:
            self.problem = str(error) or type(error).__name__
            raise
        self._connection, self.problem = connection, None
        self._outdated.clear()
        self._is_up.set()
        log.info("rabbitmq_connected", broker=str(connection))
        cause = await first(connection.channels.closing, asyncio.ensure_future(self._outdated.wait()))
        self.problem = "The connection was lost."
        log.warning("rabbitmq_connection_lost", cause=repr(cause))


class Line:
    """One channel over a link, opened and prepared anew after every loss."""

    def __init__(
        self,
        link: Link,
        *,
        prepare: Callable[[Channel, Sieve], Awaitable[None]] | None = None,
        lost: Callable[[], None] | None = None,
    ) -> None:
        self.link = link
        self.channel: Channel | None = None
        self._prepare = prepare
        self._lost = lost
        self._opened: Channel | None = None
        self._given_up: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closings: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to open the channel; does not wait for it."""
        self._task = asyncio.create_task(keep(self._open, what="channel"))

    async def close(self) -> None:
        """Close the channel and open no other; what it had delivered goes back to its queue."""
        await end(self._task)
        if self._closings:
            await asyncio.wait(self._closings)

    def replace(self, channel: Channel) -> None:
        """Give this channel up, of which nobody knows any more what has reached the broker, for another."""
        if channel is self._opened and self._given_up is not None and not self._given_up.done():
            self.channel = None
            self._given_up.set_result(None)

    async def _open(self) -> None:
        connection = await self.link.connection()
        await connection.channels.ready()  # a blocked one answers nothing
        self._opened = channel = await open_channel(connection.channels)
        self._given_up = asyncio.get_running_loop().create_future()
        try:
            if self._prepare is not None:
                await self._prepare(channel, connection.wire.sieve)
            self.channel = None if self._given_up.done() else channel
            cause = await first(channel.closing, self._given_up)
            log.info("rabbitmq_channel_lost", cause=repr(cause))
            if isinstance(cause, ChannelNotFoundEntity):
                self.link.renew()
        except ChannelNotFoundEntity:
            self.link.renew()
            raise
        finally:
            self.channel = None
            if self._lost is not None:
                self._lost()
            self._leave(channel)

    def _leave(self, channel: Channel) -> None:
        if not channel.is_closed:
            task = asyncio.create_task(_close(channel))
            self._closings.add(task)
            task.add_done_callback(self._closings.discard)


async def connect(url: str, name: str = "parlor") -> WiredConnection:
    """Connect once."""
    return await aio_pika.connect(
        URL(url).update_query({"heartbeat": HEARTBEAT_S}),
        timeout=CONNECT_S,
        client_properties={"connection_name": name},
        connection_class=WiredConnection,
    )


@asynccontextmanager
async def visit(url: str) -> AsyncIterator[Channel]:
    """Open a channel for a moment, as a command line does."""
    connection = await connect(url)
    try:
        yield await open_channel(connection.channels)
    finally:
        await connection.hang_up()


async def open_channel(connection: AbstractConnection) -> Channel:
    """Open a channel with confirms."""
    channel = await connection.channel(timeout=topology.RPC_S, on_return_raises=False)
    if not isinstance(channel, Channel):
        raise TypeError(f"{type(channel)} is not the library's own channel.")
    return channel


async def _declare(connection: AbstractConnection, namespace: str) -> None:
    channel = await open_channel(connection)
    await topology.declare(channel, namespace)
    await _close(channel)


async def _close(channel: Channel) -> None:
    closing = asyncio.ensure_future(channel.close())
    await asyncio.wait([closing], timeout=CLOSE_S)
    await _stopped(closing)


async def _stopped(closing: asyncio.Task[None]) -> None:
    """See to its end, and look at its error, or asyncio complains that nobody did."""
    await end(closing)
    if not closing.cancelled() and (error := closing.exception()) is not None:
        log.info("rabbitmq_close_failed", error=repr(error))
