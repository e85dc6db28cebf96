"""Whether a server that this process does not talk to could be talked to."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

PORTS = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True, slots=True)
class Reachable:
    """A check that opens a TCP connection, and closes it; raises OSError."""

    url: str

    async def __call__(self) -> None:
        parts = urlsplit(self.url)
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or PORTS[parts.scheme])
        writer.close()
        await writer.wait_closed()
