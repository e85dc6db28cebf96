"""A server without servers behind it, and connections to it that say whatever they like."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

from parlor.core.identity.use_cases import TokenPair
from parlor.entrypoints.http.app import make_app
from parlor.entrypoints.http.server import bind, make_server
from tests.fakes.container import FakeContainer, as_container

SHORT_S = 0.05
LONG_S = 60.0
GIVE_UP_S = 30.0  # a failure, not a measure
BODY = b'{"email": "ada@example.org", "password": "correct horse"}'
HEAD = b"POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
LOGIN = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Line:
    """One connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, words: bytes) -> None:
        self.writer.write(words)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(GIVE_UP_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body

    async def rest(self) -> bytes:
        """Read until the server closes."""
        async with asyncio.timeout(GIVE_UP_S):
            return await self.reader.read()

    async def drip(self) -> None:
        """Say a byte at a time until the server closes."""
        async with asyncio.timeout(GIVE_UP_S):
            while not self.reader.at_eof():
                self.say(b"x")
                with suppress(TimeoutError, ConnectionResetError):
                    await asyncio.wait_for(self.reader.read(1), SHORT_S / 10)


Connect = Callable[[], AbstractAsyncContextManager[Line]]


@asynccontextmanager
async def serving(fake: FakeContainer) -> AsyncIterator[Connect]:
    listener = bind("127.0.0.1", 0)
    uvicorn = make_server(make_app(as_container(fake)), fake.settings)
    running = asyncio.create_task(uvicorn.serve(sockets=[listener]))

    @asynccontextmanager
    async def connect() -> AsyncIterator[Line]:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        yield Line(reader, writer)
        writer.close()

    while not uvicorn.started:  # noqa: ASYNC110 - uvicorn tells by a flag only
        await asyncio.sleep(0)
    try:
        yield connect
    finally:
        uvicorn.should_exit = uvicorn.force_exit = True
        await running


async def logged_in(**_: object) -> TokenPair:
    return TokenPair(access_token="a", expires_in=1, refresh_token="r", refresh_expires_in=1)
