"""The short way to a route leads where the framework's would."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import pytest
from fastapi import Header
from starlette.responses import Response, StreamingResponse
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import uuid7
from parlor.entrypoints.http.app import make_app
from parlor.entrypoints.http.call import KEY, Call
from parlor.entrypoints.http.dispatch import Dispatch
from parlor.entrypoints.http.routing import Route
from tests.fakes.container import FakeContainer, as_container

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW")
STRANGE = (
    "/",
    "",
    "//",
    "/api/v1",
    "/api/v1/",
    "/api/v1//",
    "/api/v1/users/",
    "/api/v2/users/me",
    "/users/me",
)
PARAMETER = re.compile(r"\{[^}]*\}")
ID = str(uuid7())


@pytest.fixture
def routes(fake: FakeContainer) -> list[Route]:
    return [route for route in make_app(as_container(fake)).routes if isinstance(route, Route)]


async def _framework(scope: Scope, receive: Receive, send: Send) -> None:
    scope["way"] = "the framework's"


def _scope(method: str, path: str) -> Scope:
    return {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}


def _paths(routes: list[Route]) -> Iterator[str]:
    for route in routes:
        yield PARAMETER.sub(ID, route.path)
        yield PARAMETER.sub("me", route.path)
        yield PARAMETER.sub("a b/c", route.path)
        yield route.path + "/more"
    yield from STRANGE


def test_every_request_reaches_the_route_that_the_framework_would_choose(routes: list[Route]) -> None:
    dispatch = Dispatch(_framework, routes=routes)
    direct = 0
    for path in set(_paths(routes)):
        for method in METHODS:
            chosen = next((r for r in routes if r.matches(_scope(method, path))[0] is Match.FULL), None)
            found = dispatch._route(_scope(method, path))
            assert found is (chosen if chosen is not None and chosen.is_direct else None), (method, path)
            direct += found is not None
    assert direct > len(routes)


def test_what_is_in_a_path_arrives_as_the_framework_hands_it_over(routes: list[Route]) -> None:
    dispatch = Dispatch(_framework, routes=routes)
    path = f"/api/v1/chats/{ID}/messages/{ID}/reactions/a/b"
    scope = _scope("PUT", path)
    route = dispatch._route(scope)
    assert route is not None
    assert scope["path_params"] == route.matches(_scope("PUT", path))[1]["path_params"]
    assert scope["route"] is route


async def test_whatever_is_no_direct_route_goes_the_frameworks_way(routes: list[Route]) -> None:
    dispatch = Dispatch(_framework, routes=routes)
    for scope in (_scope("GET", "/nowhere"), _scope("BREW", "/healthz"), {"type": "websocket"}):
        await dispatch(scope, None, None)  # type: ignore[arg-type]  # nothing is asked of them
        assert scope["way"] == "the framework's"


async def test_an_endpoint_that_the_framework_must_call_is_left_to_it() -> None:
    async def endpoint(x_word: Annotated[str, Header()]) -> Response:
        return Response(x_word)

    scope = _scope("GET", "/words")
    await Dispatch(_framework, routes=[Route("/words", endpoint)])(scope, None, None)  # type: ignore[arg-type]  # as above
    assert scope["way"] == "the framework's"


async def test_an_answer_that_has_begun_is_broken_off_by_an_error() -> None:
    async def endpoint() -> Response:
        return StreamingResponse(_half())

    async def _half() -> AsyncIterator[bytes]:
        yield b"half"
        raise NotFound

    sent: list[Message] = []
    scope = _scope("GET", "/halves")
    call = scope[KEY] = Call.of(scope)

    async def send(message: Message) -> None:
        call.status = 200
        sent.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(NotFound):
        await Dispatch(_framework, routes=[Route("/halves", endpoint)])(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_a_route_whose_first_word_is_a_parameter_is_refused_at_the_start() -> None:
    async def endpoint() -> None: ...

    with pytest.raises(AssertionError, match="has no first word"):
        Dispatch(_framework, routes=[Route("/{anything}", endpoint)])
