"""A real server on loopback: where one request ends and the next begins, and what a connection may hold."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from parlor.core.identity.use_cases import LogIn, TokenPair
from parlor.entrypoints.http import outflow
from parlor.entrypoints.http.framing import MAX_HEAD_BYTES, FramedProtocol
from parlor.entrypoints.http.outflow import LEAST_BYTES, Outflow
from tests.fakes.container import FakeContainer, settings_for_tests
from tests.lines import (
    BODY,
    GIVE_UP_S,
    HEAD,
    HEALTH,
    LOGIN,
    LONG_S,
    SHORT_S,
    Connect,
    Line,
    logged_in,
    serving,
)

CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
SOCKET = (
    b"GET /api/v1/realtime?ticket=x HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)


@pytest.fixture
async def patient() -> AsyncIterator[Connect]:
    """Wait for everybody."""
    settings = settings_for_tests(PARLOR_HEADER_TIMEOUT_S=LONG_S)
    async with serving(FakeContainer(settings, commands={LogIn: logged_in})) as connect:
        yield connect


UNCLEAR = {
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "length and chunks": HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    "chunks within another coding": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + b"2\r\n{}\r\n0\r\n\r\n",
    "another coding": HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "line feeds alone": b"GET /healthz HTTP/1.1\nhost: x\n\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n",
    "a blank before the colon": b"GET /healthz HTTP/1.1\r\nhost : x\r\n\r\n",
    "NUL in a header": b"GET /healthz HTTP/1.1\r\nhost: x\r\na: \0\r\n\r\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a negative chunk": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("said", UNCLEAR.values(), ids=UNCLEAR)
async def test_what_two_readers_could_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(
    patient: Connect, said: bytes
) -> None:
    async with patient() as line:
        line.say(said + HEALTH)
        status, headers, body = await line.answer()
        assert (status, headers["connection"], json.loads(body)["code"]) == (400, "close", "bad_request")
        assert await line.rest() == b""


@pytest.mark.parametrize("together", [True, False])
async def test_a_wish_for_http_2_costs_neither_the_body_nor_what_comes_behind(
    patient: Connect, together: bool
) -> None:
    """As Java's client, and curl with `--http2`, send it with every request."""
    head = HEAD + H2C + b"content-length: %d\r\n\r\n" % len(BODY)
    async with patient() as line:
        line.say(head + BODY + HEALTH if together else head)
        if not together:
            await line.writer.drain()
            line.say(BODY + HEALTH)
        assert b"access_token" in (await line.answer())[2]
        assert (await line.answer())[0] == 200


async def test_a_thousand_pipelined_requests_are_answered_while_few_of_them_are_held(
    patient: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, read_on = [0], FramedProtocol._read_on

    def noting(protocol: FramedProtocol) -> None:
        read_on(protocol)
        most.append(len(protocol.pipeline))

    monkeypatch.setattr(FramedProtocol, "_read_on", noting)
    async with patient() as line:
        line.say(HEALTH * 1000)
        assert [(await line.answer())[0] for _ in range(1000)] == [200] * 1000
    assert 0 < max(most) < 200


async def test_a_socket_is_not_opened_behind_a_request_that_is_being_answered(patient: Connect) -> None:
    """Its handshake's answer would stand where the request's belongs."""
    async with patient() as line:
        line.say(LOGIN + SOCKET)
        status, headers, body = await line.answer()
        assert (status, headers["connection"], b"access_token" in body) == (200, "close", True)
        assert await line.rest() == b""


async def test_what_is_no_http_behind_a_request_takes_nothing_from_its_answer(patient: Connect) -> None:
    async with patient() as line:
        line.say(LOGIN + b"HELO\r\n\r\n")
        assert b"access_token" in (await line.answer())[2]
        assert await line.rest() == b""


@pytest.mark.parametrize("endless", [b"0\r\nx: " + b"y" * 80_000, b"2;" + b"y" * 80_000])
async def test_what_a_chunked_body_has_beside_its_bytes_is_bounded(patient: Connect, endless: bytes) -> None:
    """Trailers are kept by the parser, and a chunk's extensions are no body: neither counts there."""
    async with patient() as line:
        line.say(CHUNKED + b"2\r\n{}\r\n" + endless)
        assert (await line.answer())[0] == 431
        assert await line.rest() == b""


async def test_a_body_in_chunks_of_one_byte_is_read(patient: Connect) -> None:
    body = BODY.ljust(2 * MAX_HEAD_BYTES // 6)
    async with patient() as line:
        line.say(CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert (await line.answer())[0] == 200


async def test_a_body_that_comes_just_in_time_for_ever_is_a_timeout() -> None:
    """Each byte comes within the gap; all of them together would take days."""
    fake = FakeContainer(settings_for_tests(PARLOR_HEADER_TIMEOUT_S=4 * SHORT_S))
    async with serving(fake) as connect, connect() as line:
        line.say(HEAD + b"content-length: 1000000\r\n\r\n")
        dripping = asyncio.create_task(drip(line))
        assert (await line.answer())[0] == 408
        dripping.cancel()


async def drip(line: Line) -> None:
    """Say a byte at a time, and hear nothing."""
    while True:
        line.say(b"x")
        await asyncio.sleep(SHORT_S / 10)


async def large(**_: object) -> TokenPair:
    """Answer with more than a socket holds."""
    return TokenPair(access_token="a" * 20_000_000, expires_in=1, refresh_token="r", refresh_expires_in=1)


async def test_who_asks_and_reads_no_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outflow, "LOOK_EVERY_S", SHORT_S)
    fake = FakeContainer(settings_for_tests(PARLOR_HEADER_TIMEOUT_S=LONG_S), commands={LogIn: large})
    cut, told = asyncio.Event(), list[bool]()
    lost = FramedProtocol.connection_lost

    def noting(protocol: FramedProtocol, exc: Exception | None) -> None:
        lost(protocol, exc)
        assert protocol._begun is not None
        told.append(protocol._begun.disconnected)
        cut.set()

    monkeypatch.setattr(FramedProtocol, "connection_lost", noting)
    async with serving(fake) as connect, connect() as line:
        line.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads
        line.say(LOGIN + LOGIN + HEALTH)
        async with asyncio.timeout(GIVE_UP_S):
            await cut.wait()
    assert told == [True]  # or it would go on writing to nobody, which uvloop takes for a mistake


class Pipe:
    """A transport that holds what it is told to hold."""

    def __init__(self, held: int) -> None:
        self.held = held
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.held

    def get_extra_info(self, _: str) -> None:
        return None

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(
    ("held", "left", "is_cut"),
    [
        (10 * LEAST_BYTES, 10 * LEAST_BYTES, True),
        (10 * LEAST_BYTES, 9 * LEAST_BYTES + 1, True),
        (10 * LEAST_BYTES, 9 * LEAST_BYTES, False),
        (100, 1, True),
        (100, 0, False),
    ],
)
async def test_a_slow_reader_stays_who_takes_32_kib_in_a_while_or_all_that_is_left(
    held: int, left: int, is_cut: bool
) -> None:
    pipe = Pipe(held)
    watched = Outflow(pipe)  # type: ignore[arg-type]  # all of a transport that it asks for
    watched.watch()
    pipe.held = left
    watched._judge()
    assert pipe.aborted == is_cut
    watched.rest()
