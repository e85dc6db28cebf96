"""Calls against a server that refuses, is away, or answers too late."""

import asyncio
from collections.abc import Sequence

import pytest

from parlor.client import Backoff, Parlor, Problem, Unreachable
from tests.faults.gate import Trap, Way, a_gate
from tests.live import Noted, a_parlor
from tests.scripted import Reply, Request, Scripted, problem
from tests.waiting import all_of

ME = "GET /users/me"


def keys(requests: Sequence[Request]) -> list[str | None]:
    return [one.headers.get("idempotency-key") for one in requests]


async def test_a_key_goes_in_its_own_header(server: Scripted) -> None:
    server.on(ME, problem(401, "unauthenticated"))
    async with a_parlor(server.base, tokens=None, api_key="parlor_x_y") as parlor:
        with pytest.raises(Problem, match="unauthenticated"):
            await parlor.get("/users/me")
    (asked,) = server.requests
    assert asked.headers["x-api-key"] == "parlor_x_y"
    assert "authorization" not in asked.headers


async def test_a_problem_tells_everything_that_the_answer_told(server: Scripted, parlor: Parlor) -> None:
    body = {
        "type": "urn:parlor:problem:invalid_request",
        "title": "Invalid request",
        "status": 422,
        "detail": "The request is well-formed but breaks a rule.",
        "code": "invalid_request",
        "request_id": "r7",
        "errors": [{"pointer": "/kind", "code": "required", "detail": "This is needed."}],
    }
    server.on("PUT /things/1", Reply(422, body))
    with pytest.raises(Problem) as raised:
        await parlor.put("/things/1", json={})
    told = raised.value
    assert (told.status, told.code, told.request_id) == (422, "invalid_request", "r7")
    assert (told.detail, told.errors) == (body["detail"], body["errors"])
    assert (told.retry_after, told.temporary) == (0, False)
    assert "r7" in str(told)


@pytest.mark.parametrize("written", [b"<html>Bad gateway</html>", b"[]", b"\xff"])
async def test_an_answer_that_is_not_parlor_s_is_a_problem_as_well(
    server: Scripted, parlor: Parlor, written: bytes
) -> None:
    server.on("DELETE /things/1", Reply(502, parts=(written,)))
    with pytest.raises(Problem) as raised:
        await parlor.delete("/things/1")
    assert (raised.value.code, raised.value.temporary) == ("http_502", True)


@pytest.mark.parametrize(
    "path", ["/tasks", "/tasks/batch", "/schedules", "/chats", "/parties", "/parties/7/invitations"]
)
async def test_a_post_that_takes_a_key_is_repeated_to_the_byte(
    server: Scripted, parlor: Parlor, path: str
) -> None:
    refusals = [
        problem(503, "busy"),
        problem(429, "too_many_requests"),
        problem(409, "idempotency_in_progress"),
    ]
    server.on(f"POST {path}", *refusals, Reply(202, {"id": "t1"}))
    assert await parlor.post(path, json={"kind": "films", "name": "Ü"}) == {"id": "t1"}
    assert len(server.requests) == 4
    assert len({one.body for one in server.requests}) == 1
    (key,) = set(keys(server.requests))
    assert key


async def test_every_order_has_a_key_of_its_own_unless_it_is_given_one(
    server: Scripted, parlor: Parlor
) -> None:
    server.on("POST /tasks", Reply(202, {"id": "t1"}))
    await parlor.post("/tasks", json={})
    await parlor.post("/tasks", json={})
    await parlor.post("/tasks", json={}, headers={"Idempotency-Key": "mine"})
    first, second, third = keys(server.requests)
    assert first != second
    assert third == "mine"


@pytest.mark.parametrize("route", ["POST /chats/1/messages", "PATCH /users/me", "PUT /x", "DELETE /x"])
async def test_what_might_act_twice_is_sent_once(server: Scripted, parlor: Parlor, route: str) -> None:
    server.on(route, problem(503, "busy"))
    method, path = route.split()
    with pytest.raises(Problem) as raised:
        await parlor.request(method, path, json={})
    assert raised.value.temporary
    assert keys(server.requests) == [None]
    with pytest.raises(Problem):  # a key says nothing where the server does not read it
        await parlor.request(method, path, json={}, headers={"Idempotency-Key": "mine"})
    assert keys(server.requests) == [None, "mine"]


async def test_a_lost_connection_is_no_error_of_what_may_be_repeated(server: Scripted) -> None:
    server.on("POST /tasks", Reply(202, {"id": "t1"}))
    async with a_gate(server.base) as gate, a_parlor(gate.url) as parlor:
        trap = gate.set(Trap(Way.TO_CLIENT, b"202"))
        assert await parlor.tasks.order("films", {}) == {"id": "t1"}
        assert trap.sprung.is_set()
    assert len(server.requests) == 2
    assert len(set(keys(server.requests))) == 1


async def test_a_server_that_stays_away_is_unreachable(server: Scripted) -> None:
    async with a_parlor("http://127.0.0.1:1") as parlor:
        with pytest.raises(Unreachable, match="GET /api/v1/users/me"):
            await parlor.get("/users/me")


async def test_a_call_that_hangs_is_ended(server: Scripted) -> None:
    async def hangs(_: Request) -> Reply:
        await asyncio.sleep(0.2)
        return Reply()

    server.on("POST /x", hangs)
    async with a_parlor(server.base, timeout_s=0.01) as parlor:
        with pytest.raises(Unreachable):
            await parlor.post("/x")


async def test_a_server_that_asks_for_more_time_than_there_is_is_not_waited_for(
    server: Scripted, parlor: Parlor
) -> None:
    server.on(ME, problem(429, "too_many_requests", Retry_After="3600"))
    with pytest.raises(Problem) as raised:
        await parlor.get("/users/me")
    assert raised.value.retry_after == 3600
    assert len(server.requests) == 1


async def test_retry_after_is_waited_for(server: Scripted) -> None:
    server.on(ME, problem(503, "busy", Retry_After="7"), problem(503, "busy"), Reply(json={}))
    async with a_parlor(server.base, backoff=(backoff := Noted())) as parlor:
        await parlor.get("/users/me")
    assert backoff.asked == [(0, 7), (1, 0)]


async def test_waits_grow_and_have_a_limit() -> None:
    assert Backoff().pause(0, at_least=7) >= 7
    assert max(Backoff(first_s=1, most_s=4).pause(1_000_000) for _ in range(100)) <= 4
    assert max(Backoff(first_s=1, most_s=4).pause(0) for _ in range(100)) <= 1


async def test_lists_are_read_to_their_end(server: Scripted, parlor: Parlor) -> None:
    def page(items: list[int], cursor: str | None) -> Reply:
        return Reply(json={"items": items, "next_cursor": cursor})

    server.on("GET /tasks", page([1, 2], "c1"), page([], "c2"), page([3], None))
    assert await all_of(parlor.pages("/tasks", limit=2, status=None)) == [[1, 2], [], [3]]
    assert [one.query for one in server.requests] == [
        {"limit": "2"},
        {"limit": "2", "cursor": "c1"},
        {"limit": "2", "cursor": "c2"},
    ]


@pytest.mark.parametrize("status", [200, 302])
async def test_a_page_of_somebody_else_s_is_no_answer(server: Scripted, parlor: Parlor, status: int) -> None:
    server.on(ME, Reply(status, parts=(b"<html>",), headers={"location": "/elsewhere"}))
    with pytest.raises(Problem) as raised:
        await parlor.get("/users/me")
    assert raised.value.code == ("not_json" if status == 200 else "http_302")
