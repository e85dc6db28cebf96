"""Outgoing HTTP against real servers: what is sent, and what counts as no answer."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from parlor.adapters.http.caller import GuardedCaller
from parlor.adapters.http.guard import AllowList
from parlor.core.tasks.http_request import DestinationBlocked, DestinationUnreachable, HttpRequest, outgoing
from tests.certificates import a_certificate
from tests.fakes.calling import LOOPBACK, FakeNames, a_caller, a_request, get
from tests.fakes.handling import A_TASK
from tests.fakes.web import site
from tests.waiting import eventually


async def test_what_was_asked_for_is_sent() -> None:
    async with site() as server:
        request = HttpRequest(server.url + "things?x=1#y", "PUT", {"X-Name": " gr\u00fcn "}, json={"a": 1})
        await a_caller(LOOPBACK).call(outgoing(request, A_TASK))
    asked = server.asked[0]
    assert asked.line == "PUT /things?x=1 HTTP/1.1"
    assert json.loads(asked.body) == {"a": 1}
    assert asked.headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "*/*",
        "user-agent": "parlor",
        "x-name": "gr\u00fcn".encode().decode("latin-1"),
        "content-type": "application/json",
        "content-length": "8",
        "idempotency-key": str(A_TASK),
        "accept-encoding": "identity",
        "connection": "close",
    }


async def test_compression_and_the_connection_are_nobody_elses_to_choose() -> None:
    async with site() as server:
        theirs = {"accept-encoding": "br", "connection": "keep-alive", "user-agent": "theirs"}
        await a_caller(LOOPBACK).call(a_request(server.url, headers=theirs))
    headers = server.asked[0].headers
    assert (headers["accept-encoding"], headers["connection"]) == ("identity", "close")
    assert headers["user-agent"] == "theirs"


async def test_a_post_without_a_body_says_so() -> None:
    async with site() as server:
        await a_caller(LOOPBACK).call(a_request(server.url, "POST"))
    assert server.asked[0].headers["content-length"] == "0"


async def test_each_call_has_a_connection_of_its_own() -> None:
    async with site() as server:
        caller = a_caller(LOOPBACK)
        await caller.call(a_request(server.url))
        await caller.call(a_request(server.url))
    assert server.connections == 2


async def test_a_closed_port_is_unreachable() -> None:
    async with site() as server:
        port = server.port
    with pytest.raises(DestinationUnreachable):
        await get(f"http://127.0.0.1:{port}/")


async def test_an_unknown_name_is_unreachable() -> None:
    with pytest.raises(DestinationUnreachable):
        await get("http://shop.example/", "", FakeNames([[]]))


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "%31.example"])
async def test_a_name_that_cannot_be_one_reaches_nothing(host: str) -> None:
    with pytest.raises((DestinationUnreachable, DestinationBlocked)):
        await get(f"http://{host}/")


async def test_the_next_address_is_tried_when_one_refuses() -> None:
    async with site() as server:
        names = FakeNames([["127.0.0.2", "::1", "127.0.0.1"]])
        answer = await get(f"http://shop.example:{server.port}/", "127.0.0.0/8,::1", names)
    assert answer.status == 200


@pytest.mark.parametrize(
    "raw", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"]
)
async def test_an_answer_that_is_not_whole_is_unreachable(raw: bytes) -> None:
    async with site(lambda _asked: raw) as server:
        with pytest.raises(DestinationUnreachable):
            await get(server.url)


async def test_endless_headers_are_unreachable() -> None:
    async with site(lambda _asked: b"HTTP/1.1 200 OK\r\n", endless=b"x: y\r\n" * 100) as server:
        with pytest.raises(DestinationUnreachable):
            await get(server.url)
        await server.left.wait()


async def test_a_silent_server_is_left_when_the_callers_time_is_up() -> None:
    async with site(silent=True) as server:
        calling = asyncio.create_task(get(server.url))
        await eventually(lambda: server.connections == 1)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await server.left.wait()


async def test_a_silent_server_is_left_when_nobody_else_ends_the_call() -> None:
    async with site(silent=True) as server:
        with pytest.raises(DestinationUnreachable):
            await a_caller(LOOPBACK, silence_s=0.1).call(a_request(server.url))
        await server.left.wait()


async def test_a_resolver_that_never_answers_is_given_up() -> None:
    async def never(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    caller = GuardedCaller(resolve=never, connect_timeout_s=0.1)
    with pytest.raises(DestinationUnreachable):
        await caller.call(a_request("http://shop.example/"))


async def test_a_certificate_is_checked_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    server_tls, client_tls = a_certificate(tmp_path, "shop.example")
    heard: list[str | None] = []
    server_tls.sni_callback = lambda _socket, name, _context: heard.append(name)
    async with site(tls=server_tls) as server:
        caller = GuardedCaller(AllowList.parse(LOOPBACK), FakeNames([["127.0.0.1"]]), client_tls)
        answer = await caller.call(a_request(f"https://shop.example:{server.port}/"))
        assert (answer.status, heard) == (200, ["shop.example"])
        with pytest.raises(DestinationUnreachable):
            await caller.call(a_request(f"https://other.example:{server.port}/"))


async def test_a_certificate_of_an_unknown_issuer_is_unreachable(tmp_path: Path) -> None:
    server_tls, _ = a_certificate(tmp_path, "shop.example")
    async with site(tls=server_tls) as server:
        with pytest.raises(DestinationUnreachable):
            await get(f"https://shop.example:{server.port}/", LOOPBACK, FakeNames([["127.0.0.1"]]))
    assert server.asked == []
