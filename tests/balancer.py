"""What stands in front of several API processes: new connections go to those that say they are ready."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle

import httpx

from tests.fleet import Process

ASK_EVERY_S = 0.05


class Balancer:
    """Passes connections on, as they are; one that stands stays where it is, until one of its ends closes it."""

    def __init__(self) -> None:
        self.processes: Sequence[Process] = ()
        self._ready: list[Process] = []
        self._turns = cycle([0])
        self._ways: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    @property
    def base(self) -> str:
        """Where clients find it."""
        assert self._listener is not None
        return f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def sends_to(self, process: Process) -> bool:
        """Whether a process gets what comes next."""
        return process in self._ready

    async def watch(self) -> None:
        """Ask every process, again and again, whether it is ready."""
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            while True:
                asked = list(self.processes)
                answers = await asyncio.gather(*(_is_ready(client, one) for one in asked))
                self._ready = [one for one, ready in zip(asked, answers, strict=True) if ready]
                self._turns = cycle(range(len(self._ready) or 1))
                await asyncio.sleep(ASK_EVERY_S)

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._meet, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        while self._ways:
            for way in self._ways:
                way.cancel()
            await asyncio.wait(self._ways)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._ready:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._ready[next(self._turns)].port)
        except OSError:  # it has gone, and nobody had said so
            writer.transport.abort()
            return
        both = {asyncio.create_task(_pass(reader, back)), asyncio.create_task(_pass(there, writer))}
        self._ways |= both
        await asyncio.wait(both)
        self._ways -= both


async def _is_ready(client: httpx.AsyncClient, process: Process) -> bool:
    try:
        return (await client.get(f"{process.base}/readyz")).is_success
    except httpx.TransportError:
        return False


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything on, the end as well: whoever closes one way is answered by the other."""
    try:
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def a_balancer() -> AsyncIterator[Balancer]:
    """Open one, with nobody behind it yet."""
    balancer = Balancer()
    await balancer.open()
    watching = asyncio.create_task(balancer.watch())
    try:
        yield balancer
    finally:
        watching.cancel()
        await balancer.close()
