"""The socket of one connection, with a sieve between the broker and the library."""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, SupportsIndex

from aiormq.connection import TransportFactory
from yarl import URL

from parlor.adapters.rabbitmq.sieve import Sieve

BUFFER_BYTES = 256 * 1024


class Wire(TransportFactory):
    """Makes the connection's socket, and can cut it."""

    def __init__(self) -> None:
        self.sieve = Sieve()
        self._transport: asyncio.Transport | None = None

    async def create(self, url: URL, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect; TLS for `amqps`."""
        provider = options.pop("ssl_context_provider")
        context: ssl.SSLContext | None = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = SievedReader(self.sieve)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        self._transport, _ = await loop.create_connection(
            lambda: protocol, str(url.host), url.port or 5672, ssl=context, **options
        )
        return reader, asyncio.StreamWriter(self._transport, protocol, reader, loop)

    def cut(self) -> None:
        """Close the socket without a word, for a broker that does not answer any more."""
        if self._transport is not None:
            self._transport.abort()


class SievedReader(asyncio.StreamReader):
    """Holds what the sieve lets through."""

    def __init__(self, sieve: Sieve) -> None:
        super().__init__(limit=BUFFER_BYTES, loop=asyncio.get_running_loop())
        self._sieve = sieve

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Take what came from the socket."""
        if passed := self._sieve.feed(bytes(data)):
            super().feed_data(passed)
