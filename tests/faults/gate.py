"""A way to a server that ends, or falls silent, at a byte that the test has chosen."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import urlsplit, urlunsplit

CHUNK = 65_536


class Way(Enum):
    """Which direction bytes go."""

    TO_SERVER = auto()
    TO_CLIENT = auto()


@dataclass(frozen=True, slots=True)
class Trap:
    """What the first chunk with this mark sets off: so much of it passes, then the way is cut, or silent.

    A silent one stays open, and what the client sends still arrives: only the answers are held.
    """

    way: Way
    mark: bytes
    passes: Callable[[bytes], int] = lambda _: 0
    silent: bool = False
    sprung: asyncio.Event = field(default_factory=asyncio.Event)


def half(chunk: bytes) -> int:
    """Let the first half of a chunk pass."""
    return len(chunk) // 2


class Gate:
    """Passes every connection on to a server, but for the one that walks into the trap."""

    def __init__(self, server: str) -> None:
        self._server = urlsplit(server)
        self._listener: asyncio.Server | None = None
        self._trap: Trap | None = None
        self._ways: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where clients find it: the server's own address but for the port."""
        assert self._listener is not None
        port = self._listener.sockets[0].getsockname()[1]
        login, at, _ = self._server.netloc.rpartition("@")
        return urlunsplit(self._server._replace(netloc=f"{login}{at}127.0.0.1:{port}"))

    def set(self, trap: Trap) -> Trap:
        """Arm it, for one connection."""
        self._trap = trap
        return trap

    def cut(self) -> None:
        """Cut every connection there is."""
        for way in self._ways:
            way.cancel()

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._meet, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        while self._ways:
            self.cut()
            await asyncio.wait(self._ways)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(self._server.hostname, self._server.port)
        except OSError:  # nobody is at home
            writer.transport.abort()
            return
        ways = (self._pass(Way.TO_SERVER, reader, back), self._pass(Way.TO_CLIENT, there, writer))
        both = {asyncio.create_task(way) for way in ways}
        self._ways |= both
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for way in both:
            way.cancel()
        self._ways -= both
        writer.transport.abort()
        back.transport.abort()

    async def _pass(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(CHUNK):
                trap = self._trap
                if trap is None or trap.way is not way or trap.mark not in chunk:
                    writer.write(chunk)
                    await writer.drain()
                    continue
                self._trap = None
                writer.write(chunk[: trap.passes(chunk)])
                await writer.drain()
                trap.sprung.set()
                if trap.silent:
                    await asyncio.Event().wait()
                return


@asynccontextmanager
async def a_gate(server: str) -> AsyncIterator[Gate]:
    """Open a way to a server."""
    gate = Gate(server)
    await gate.open()
    try:
        yield gate
    finally:
        await gate.close()
