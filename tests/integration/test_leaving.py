"""A server that is told to end: what it says, what it still answers, and when it is gone."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from parlor.core.identity.use_cases import LogIn, TokenPair
from parlor.entrypoints.http.app import make_app
from parlor.entrypoints.http.leaving import LeavingServer
from parlor.entrypoints.http.server import bind, make_server
from tests.fakes.container import FakeContainer, as_container, settings_for_tests
from tests.waiting import eventually, soon

LONG_S = "600"
PROBE = b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n"
BODY = b'{"email": "ada@example.org", "password": "correct horse"}'
LOGIN = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


@dataclass
class Served:
    """A server in this process, and the log-in that it answers when it is let."""

    server: LeavingServer
    running: asyncio.Task[None]
    address: tuple[str, int]
    begun: asyncio.Event
    may_end: asyncio.Event

    def told(self, number: signal.Signals) -> None:
        self.server.handle_exit(number, None)

    @asynccontextmanager
    async def line(self) -> AsyncIterator["Line"]:
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            yield Line(reader, writer)
        finally:
            writer.close()


@dataclass
class Line:
    """One connection to it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def asks(self, request: bytes) -> tuple[int, bool]:
        """Send it; answers the status, and whether the connection is kept."""
        self.writer.write(request)
        return await self.hears()

    async def hears(self) -> tuple[int, bool]:
        head = (await soon(self.reader.readuntil(b"\r\n\r\n"))).decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:-2])
        await soon(self.reader.readexactly(int(headers["content-length"])))
        return int(head[0].split()[1]), headers.get("connection") != "close"

    async def is_closed(self) -> bool:
        return await soon(self.reader.read()) == b""


@asynccontextmanager
async def serving(unready_s: str) -> AsyncIterator[Served]:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def log_in(**_: object) -> TokenPair:
        begun.set()
        await may_end.wait()
        return TokenPair(access_token="a", expires_in=1, refresh_token="r", refresh_expires_in=1)

    fake = FakeContainer(settings_for_tests(PARLOR_UNREADY_S=unready_s), commands={LogIn: log_in})
    listener = bind("127.0.0.1", 0)
    server = make_server(make_app(as_container(fake)), fake.settings)
    # Signals stay pytest's: a server notes each one that it was told of, and raises it again at its end.
    running = asyncio.create_task(server._serve([listener]))
    await eventually(lambda: server.started)
    try:
        yield Served(server, running, listener.getsockname(), begun, may_end)
    finally:
        may_end.set()
        server.should_exit = server.force_exit = True
        await soon(running)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Give one that stays as long as a test may want."""
    async with serving(LONG_S) as served:
        yield served


async def test_it_says_so_and_answers_on(served: Served) -> None:
    """Whoever was connected is answered, and so is whoever comes: each is asked to come back elsewhere."""
    served.may_end.set()
    async with served.line() as early, served.line() as late:
        assert await early.asks(PROBE) == (200, True)
        served.told(signal.SIGTERM)
        assert await early.asks(PROBE) == (503, False)
        assert await early.is_closed()
        assert await late.asks(LOGIN) == (200, False)


async def test_what_it_was_asked_before_is_answered(served: Served) -> None:
    async with served.line() as line:
        line.writer.write(LOGIN)
        await soon(served.begun.wait())
        served.told(signal.SIGTERM)
        served.server.should_exit = True  # the time is over
        await eventually(lambda: not served.server.servers[0].is_serving())
        served.may_end.set()
        assert await line.hears() == (200, False)
    await soon(served.running)


async def test_it_ends_when_the_time_is_over() -> None:
    async with serving("0.2") as served, served.line() as idle:
        assert await idle.asks(PROBE) == (200, True)
        served.told(signal.SIGTERM)
        await soon(served.running)
        assert await idle.is_closed()


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]], ids=["C-c", "twice"])
async def test_who_does_not_want_to_wait_need_not(served: Served, signals: list[signal.Signals]) -> None:
    for number in signals:
        served.told(number)
    await soon(served.running)


async def test_without_a_proxy_it_ends_at_once() -> None:
    async with serving("0") as served:
        served.told(signal.SIGTERM)
        await soon(served.running)
