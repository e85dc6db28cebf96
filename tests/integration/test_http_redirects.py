"""Redirects of outgoing HTTP, against real servers: what goes along, and where it ends."""

import pytest

from parlor.adapters.http.hops import Hop
from parlor.core.tasks.http_request import Method
from tests.fakes.calling import LOOPBACK, a_caller, a_request, get
from tests.fakes.web import Asked, answering, redirecting, site


async def test_a_redirect_is_followed_on_its_origin_with_everything() -> None:
    def answer(asked: Asked) -> bytes:
        step = redirecting("/end", status=307) if " / " in asked.line else answering(b"end")
        return step(asked)

    async with site(answer) as server:
        request = a_request(server.url, "POST", {"authorization": "Bearer x"}, b"body")
        assert (await a_caller(LOOPBACK).call(request)).body == "end"
    assert [asked.line for asked in server.asked] == ["POST / HTTP/1.1", "POST /end HTTP/1.1"]
    assert (server.asked[1].headers["authorization"], server.asked[1].body) == ("Bearer x", b"body")


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "PUT", "PUT"),
        (307, "POST", "POST"),
        (308, "DELETE", "DELETE"),
    ],
)
async def test_a_redirect_changes_the_method_as_browsers_do(
    status: int, method: Method, becomes: str
) -> None:
    def answer(asked: Asked) -> bytes:
        step = redirecting("/end", status=status) if " / " in asked.line else answering(b"")
        return step(asked)

    async with site(answer) as server:
        content = None if method == "HEAD" else b"body"
        await a_caller(LOOPBACK).call(a_request(server.url, method, {"content-type": "a/b"}, content))
    onward = server.asked[1]
    assert onward.line == f"{becomes} /end HTTP/1.1"
    assert onward.body == (b"body" if becomes == method and content else b"")
    assert ("content-type" in onward.headers) == (becomes == method)


async def test_nothing_confidential_goes_along_to_another_origin() -> None:
    async with site() as other, site(redirecting(f"http://127.0.0.1:{other.port}/", status=307)) as server:
        secrets = {"authorization": "Bearer x", "cookie": "a=b", "x-api-key": "k", "accept": "text/x"}
        await a_caller(LOOPBACK).call(a_request(server.url, "POST", secrets, b"body"))
    asked = other.asked[0]
    assert asked.line == "POST / HTTP/1.1"
    assert asked.body == b""
    assert asked.headers.keys().isdisjoint({"authorization", "cookie", "x-api-key"})
    assert asked.headers["accept"] == "text/x"
    assert asked.headers["host"] == f"127.0.0.1:{other.port}"


async def test_the_sixth_redirect_is_the_answer() -> None:
    async with site(redirecting("/more")) as server:
        answer = await get(server.url)
        assert (answer.status, answer.headers["location"], server.connections) == (302, "/more", 6)


@pytest.mark.parametrize("status", [300, 304, 305, 302])
async def test_what_leads_nowhere_is_the_answer(status: int) -> None:
    headers = {} if status == 302 else {"location": "/more"}
    async with site(answering(b"", status=status, headers=headers)) as server:
        assert ((await get(server.url)).status, server.connections) == (status, 1)


@pytest.mark.parametrize(
    ("origin", "location", "kept"),
    [
        ("http://shop.example/", "/b", True),
        ("http://shop.example/", "http://SHOP.example:80/b", True),
        ("http://shop.example/", "https://shop.example/b", True),
        ("https://shop.example/", "http://shop.example/b", False),
        ("http://shop.example:8080/", "https://shop.example/b", False),
        ("http://shop.example/", "http://shop.example:8080/b", False),
        ("http://shop.example/", "http://other.example/b", False),
        ("http://shop.example/", "//other.example/b", False),
        ("https://shop.example:80/", "http://shop.example:443/b", False),
    ],
)
def test_what_is_the_same_origin(origin: str, location: str, kept: bool) -> None:
    onward = Hop.first(a_request(origin, headers={"authorization": "Bearer x"})).after(302, location)
    assert onward is not None
    assert ("authorization" in onward.headers) == kept
