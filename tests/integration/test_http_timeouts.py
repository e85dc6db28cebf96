"""A real server on loopback: what never ends is ended, and what is slow for a reason is not."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from parlor.core.identity.use_cases import LogIn, TokenPair
from parlor.entrypoints.http import server
from parlor.entrypoints.http.framing import MAX_HEAD_BYTES
from parlor.entrypoints.http.server import bind
from tests.fakes.container import FakeContainer, settings_for_tests
from tests.lines import BODY, HEAD, HEALTH, LOGIN, LONG_S, SHORT_S, Connect, logged_in, serving


@pytest.fixture
async def hurried() -> AsyncIterator[Connect]:
    """Wait for nobody."""
    settings = settings_for_tests(PARLOR_HEADER_TIMEOUT_S=SHORT_S)
    async with serving(FakeContainer(settings, commands={LogIn: logged_in})) as connect:
        yield connect


@pytest.fixture
async def patient() -> AsyncIterator[Connect]:
    """Wait for everybody."""
    settings = settings_for_tests(PARLOR_HEADER_TIMEOUT_S=LONG_S)
    async with serving(FakeContainer(settings, commands={LogIn: logged_in})) as connect:
        yield connect


@pytest.mark.parametrize("said", [b"", b"\r\n", b"GET", b"GET /healthz HTTP/1.1\r\nhost: x\r\n"])
async def test_half_a_head_then_silence_is_closed(hurried: Connect, said: bytes) -> None:
    async with hurried() as line:
        line.say(said)
        assert await line.rest() == b""


async def test_a_head_that_comes_byte_by_byte_is_closed_all_the_same(hurried: Connect) -> None:
    async with hurried() as line:
        line.say(b"GET /healthz HTTP/1.1\r\nx: ")
        await line.drip()


async def test_half_a_head_on_a_connection_that_was_used_before_is_closed(hurried: Connect) -> None:
    async with hurried() as line:
        line.say(HEALTH)
        assert (await line.answer())[0] == 200
        line.say(HEALTH[:-2])
        assert await line.rest() == b""


async def test_half_a_body_then_silence_is_a_timeout_and_closed(hurried: Connect) -> None:
    async with hurried() as line:
        line.say(LOGIN[:-5])
        status, headers, body = await line.answer()
        assert (status, headers["connection"], json.loads(body)["code"]) == (408, "close", "request_timeout")
        assert await line.rest() == b""


async def test_half_a_chunked_body_then_silence_is_a_timeout_and_closed(hurried: Connect) -> None:
    async with hurried() as line:
        line.say(HEAD + b'transfer-encoding: chunked\r\n\r\n5\r\n{"ema\r\n')
        assert (await line.answer())[0] == 408
        assert await line.rest() == b""


async def test_a_body_that_nobody_wants_is_answered_at_once_and_its_rest_waited_for_a_while(
    hurried: Connect,
) -> None:
    async with hurried() as line:
        line.say(HEAD + b"content-length: 20000000\r\n\r\n" + b"x" * 100_000)
        assert (await line.answer())[0] == 413
        await line.drip()


async def test_a_client_that_sends_all_of_a_body_that_nobody_wants_reads_the_answer(patient: Connect) -> None:
    async with patient() as line:
        line.say(HEAD + b"content-length: 5000000\r\n\r\n" + b"x" * 5_000_000)
        await line.writer.drain()
        assert (await line.answer())[0] == 413
        line.say(HEALTH)
        assert (await line.answer())[0] == 200


async def test_a_request_in_pieces_is_answered_and_the_connection_used_again(patient: Connect) -> None:
    async with patient() as line:
        for _ in range(2):
            for start in range(0, len(LOGIN), 7):
                line.say(LOGIN[start : start + 7])
                await line.writer.drain()
            assert (await line.answer())[0] == 200


async def test_pipelined_requests_are_answered_in_turn(patient: Connect) -> None:
    async with patient() as line:
        line.say(HEALTH + LOGIN + HEALTH)
        answers = [await line.answer() for _ in range(3)]
        assert [status for status, _, _ in answers] == [200, 200, 200]
        assert b"access_token" in answers[1][2]


async def test_an_answer_may_take_longer_than_a_head_and_so_may_the_half_head_behind_it() -> None:
    begun = asyncio.Event()

    async def slow(**_: object) -> TokenPair:
        begun.set()
        await asyncio.sleep(4 * SHORT_S)
        return await logged_in()

    fake = FakeContainer(settings_for_tests(PARLOR_HEADER_TIMEOUT_S=SHORT_S), commands={LogIn: slow})
    async with serving(fake) as connect, connect() as line:
        line.say(LOGIN)
        await begun.wait()
        line.say(HEALTH[:-2])
        assert (await line.answer())[0] == 200


async def test_a_connection_lives_on_after_a_body_that_nobody_wanted() -> None:
    fake = FakeContainer(settings_for_tests(PARLOR_HEADER_TIMEOUT_S=10 * SHORT_S))
    async with serving(fake) as connect, connect() as line:
        line.say(HEAD + b"content-length: 1200000\r\n\r\n")
        assert (await line.answer())[0] == 413
        line.say(b"x" * 1_200_000)
        async with connect() as silent:  # closed when the time for a head is over
            assert await silent.rest() == b""
        line.say(HEALTH)
        assert (await line.answer())[0] == 200


async def test_a_head_without_end_is_too_large(patient: Connect) -> None:
    async with patient() as line:
        line.say(b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * (MAX_HEAD_BYTES // 6 + 1))
        status, headers, body = await line.answer()
        assert (status, headers["content-type"]) == (431, "application/problem+json")
        assert json.loads(body)["request_id"] == headers["x-request-id"]
        assert await line.rest() == b""


async def test_a_body_counts_for_no_head(patient: Connect) -> None:
    async with patient() as line:
        line.say(HEAD + b"content-length: %d\r\n\r\n" % (MAX_HEAD_BYTES * 2) + BODY.ljust(MAX_HEAD_BYTES * 2))
        assert (await line.answer())[0] == 200


async def test_what_is_no_http_gets_a_problem(patient: Connect) -> None:
    async with patient() as line:
        line.say(b"HELO mail.example.org\r\n\r\n")
        status, headers, body = await line.answer()
        assert (status, json.loads(body)["code"]) == (400, "bad_request")
        assert headers["x-content-type-options"] == "nosniff"
        assert await line.rest() == b""


async def test_one_connection_too_many_is_told_that_we_are_busy(
    patient: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with patient() as first, patient() as second:
        monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
        second.say(HEALTH)
        status, headers, body = await second.answer()
        assert (status, headers["retry-after"], json.loads(body)["code"]) == (503, "1", "busy")
        assert headers["x-content-type-options"] == "nosniff"
        monkeypatch.undo()
        first.say(HEALTH)
        assert (await first.answer())[0] == 200


async def test_the_server_does_not_say_what_it_is(patient: Connect) -> None:
    async with patient() as line:
        line.say(HEALTH)
        _, headers, _ = await line.answer()
        assert "server" not in headers
        assert "date" in headers


def test_an_address_that_is_taken_ends_the_start_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as ended:
        bind(*taken.getsockname())
    assert "\n" not in str(ended.value.code)
    assert str(taken) not in str(ended.value.code)
    assert "cannot listen on 127.0.0.1 port" in str(ended.value.code)
