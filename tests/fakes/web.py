"""Real HTTP servers on free ports of loopback that answer what a test wants them to."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

Answer = Callable[["Asked"], bytes]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came over the wire, header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(slots=True)
class Site:
    """What a test's server was asked. `endless` bytes follow the answer until the client goes."""

    answer: Answer
    endless: bytes = b""
    silent: bool = False
    port: int = 0
    connections: int = 0
    asked: list[Asked] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        self.left.set()
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await _read(reader)
        self.asked.append(asked)
        if self.silent:
            await reader.read()
            return
        writer.write(self.answer(asked))
        await writer.drain()
        while self.endless:
            writer.write(self.endless)
            await writer.drain()


def answering(
    body: bytes = b"hello", *, status: int = 200, headers: dict[str, str] | None = None, length: bool = True
) -> Answer:
    """Give everybody the same answer."""
    lines = [f"HTTP/1.1 {status} Fine", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if length:
        lines.append(f"content-length: {len(body)}")
    raw = "\r\n".join([*lines, "", ""]).encode() + body
    return lambda _asked: raw


def redirecting(location: str, *, status: int = 302) -> Answer:
    """Send everybody on."""
    return answering(b"", status=status, headers={"location": location})


@contextlib.asynccontextmanager
async def site(
    answer: Answer | None = None,
    *,
    endless: bytes = b"",
    silent: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Site]:
    """Serve on a free port of 127.0.0.1 while the block runs."""
    served = Site(answer=answer or answering(), endless=endless, silent=silent)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(line=head[0], headers=headers, body=body)
