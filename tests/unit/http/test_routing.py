"""Routes of any shape keep the contract's order, whether they are called directly or by FastAPI."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Form, Header, Query
from httpx import AsyncClient
from starlette.requests import Request
from starlette.responses import JSONResponse

from parlor.entrypoints.http.app import make_app
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.binding import Binding
from parlor.entrypoints.http.routing import Route
from parlor.entrypoints.http.schemas import Body, OneLine
from tests.fakes.container import SIGNED_IN, FakeContainer, as_container

JSON = {"content-type": "application/json"}


class Sent(Body):
    """A body."""

    word: OneLine


routes = APIRouter(route_class=Route)


@routes.post("/plain/{number}")
async def plain(
    number: int,
    body: Sent,
    request: Request,
    _: CurrentActor,
    least: Annotated[int, Query(ge=1)],
    word: str = "none",
) -> JSONResponse:
    return JSONResponse([number, body.word, request.method, least, word])


@routes.post("/unusual/{number}")
async def unusual(
    number: int,
    body: Sent,
    request: Request,
    _: CurrentActor,
    least: Annotated[int, Query(ge=1)],
    x_word: Annotated[str, Header()] = "none",
) -> JSONResponse:
    return JSONResponse([number, body.word, request.method, least, x_word])


@routes.get("/many")
async def many(word: Annotated[list[str], Query()]) -> JSONResponse:
    return JSONResponse(word)


@routes.post("/form")
async def form(word: Annotated[str, Form()]) -> JSONResponse:
    return JSONResponse(word)


@routes.get("/model")
async def model() -> Sent:
    return Sent(word="a")


@routes.get("/word/{word:rest}")
async def spelt(word: str, *, more: str = "none") -> JSONResponse:
    return JSONResponse([word, more])


SHAPES = pytest.mark.parametrize("path", ["/plain/7", "/unusual/7"])


@pytest.fixture
async def signed(fake: FakeContainer) -> AsyncIterator[AsyncClient]:
    """Sign a user in to the application with these routes."""
    app = make_app(as_container(fake))
    app.router.routes += routes.routes
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=SIGNED_IN) as client:
        yield client


def test_only_endpoints_of_the_plain_shape_are_called_directly() -> None:
    bound = {route.name for route in routes.routes if isinstance(route, Route) and Binding.of(route)}
    assert bound == {"plain", "spelt"}


@pytest.mark.parametrize("sent", ["%ff", "%ed%a0%80", "a%c3", "%ff%EF%BF%BD"])
async def test_bytes_that_are_no_utf8_are_no_text(signed: AsyncClient, sent: str) -> None:
    answer = await signed.get(f"/word/{sent}?more={sent}&other=%ff")
    flaws = [(error["pointer"], error["code"]) for error in answer.json()["errors"]]
    assert flaws == [("path:word", "invalid_encoding"), ("query:more", "invalid_encoding")]


@pytest.mark.parametrize(
    ("sent", "read"), [("%EF%BF%BD", "\ufffd"), ("%c3%a9", "\u00e9"), ("a%2Fb", "a/b"), ("a%0Ab", "a\nb")]
)
async def test_what_is_utf8_is_taken_as_it_is(signed: AsyncClient, sent: str, read: str) -> None:
    assert (await signed.get(f"/word/{sent}?more={sent}&other=%ff")).json() == [read, read]


@SHAPES
async def test_an_endpoint_gets_everything_that_it_takes(signed: AsyncClient, path: str) -> None:
    answer = await signed.post(f"{path}?least=3&least=4", json={"word": "e\u0301"})
    assert answer.json() == [7, "\u00e9", "POST", 4, "none"]


@SHAPES
@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {"authorization": "Bearer bad"}, 401),
        (b"x" * 5000, JSON, 413),
        (b"{", {"content-type": "text/plain"}, 415),
        (b"{", JSON, 400),
        (b"", {}, 400),
        (b"{}", JSON, 422),
    ],
)
async def test_errors_come_in_the_contract_s_order(
    signed: AsyncClient, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await signed.post(f"{path}?least=0", content=content, headers=headers)
    assert answer.status_code == status


@SHAPES
async def test_all_flaws_are_told_at_once(signed: AsyncClient, path: str) -> None:
    answer = await signed.post(path.replace("7", "seven"), json={"word": 1, "more": 2})
    assert {(error["pointer"], error["code"]) for error in answer.json()["errors"]} == {
        ("path:number", "wrong_type"),
        ("query:least", "required"),
        ("/word", "wrong_type"),
        ("/more", "unknown_field"),
    }


async def test_several_values_of_a_name_are_taken_where_they_are_asked_for(signed: AsyncClient) -> None:
    assert (await signed.get("/many?word=a&word=b")).json() == ["a", "b"]


async def test_a_form_is_no_json(signed: AsyncClient) -> None:
    assert (await signed.post("/form", data={"word": "a"})).json() == "a"


async def test_an_endpoint_may_leave_the_answer_to_its_model(signed: AsyncClient) -> None:
    assert (await signed.get("/model")).json() == {"word": "a"}
