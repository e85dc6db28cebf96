"""Sessions: one refresh at a time, and no token lost, whatever the server does."""

import asyncio
import json
import time
from dataclasses import asdict
from typing import Any

import pytest

from parlor.client import Parlor, Problem, SignedOut, Tokens, rest
from tests.faults.gate import Trap, Way, a_gate
from tests.live import OLD, REFRESH, a_parlor, pair
from tests.scripted import Handler, Reply, Request, Scripted, problem

ME = "GET /users/me"


def wants(token: str) -> Handler:
    """Answer whoever comes with this access token alone."""

    def answer(request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {token}":
            return problem(401, "invalid_token")
        return Reply(json={"id": "u1"})

    return answer


async def test_who_has_not_logged_in_is_told_so(server: Scripted) -> None:
    async with a_parlor(server.base, tokens=None) as parlor:
        with pytest.raises(SignedOut, match="log in"):
            await parlor.get("/users/me")


async def test_logging_in_opens_a_session_that_is_kept(server: Scripted) -> None:
    kept: list[Tokens | None] = []
    server.on("POST /auth/login", Reply(json=pair(2)))
    server.on("POST /auth/logout", Reply(204))
    server.on(ME, wants("a2"))
    async with a_parlor(server.base, tokens=None, on_tokens=kept.append) as parlor:
        await parlor.log_in("ada@example.org", "a password")
        assert await parlor.get("/users/me") == {"id": "u1"}
        await parlor.log_out()
    assert [one and one.refresh_token for one in kept] == ["r2", None]
    assert server.requests[0].json == {"email": "ada@example.org", "password": "a password"}
    assert "authorization" not in server.requests[0].headers


async def test_kept_tokens_are_plain_values_and_go_on(server: Scripted) -> None:
    server.on(ME, wants("a1"))
    kept = json.loads(json.dumps(asdict(OLD)))
    async with a_parlor(server.base, tokens=Tokens(**kept)) as parlor:
        assert await parlor.get("/users/me") == {"id": "u1"}
    assert "a1" not in repr(OLD)
    assert "r1" not in repr(OLD)


async def test_twenty_calls_with_a_refused_token_refresh_once(server: Scripted, parlor: Parlor) -> None:
    server.on(ME, wants("a2"))
    server.on(REFRESH, Reply(json=pair(2)))
    answers = await asyncio.gather(*(parlor.get("/users/me") for _ in range(20)))
    assert answers == [{"id": "u1"}] * 20
    assert [one.json for one in server.asked(REFRESH)] == [{"refresh_token": "r1"}]


async def test_a_token_that_ends_soon_is_not_used_any_more(server: Scripted) -> None:
    server.on(ME, wants("a2"))
    server.on(REFRESH, Reply(json=pair(2)))
    async with a_parlor(server.base, tokens=Tokens("a1", "r1", time.time() - 1)) as parlor:
        await asyncio.gather(*(parlor.get("/users/me") for _ in range(20)))
    assert len(server.asked(REFRESH)) == 1
    assert len(server.asked(ME)) == 20


@pytest.mark.parametrize(("life", "good_for"), [(900, 870), (10, 9)])
async def test_the_next_pair_is_taken_before_a_token_ends(life: int, good_for: float) -> None:
    assert Tokens.of(pair(1, life)).refresh_at == pytest.approx(time.time() + good_for, abs=5)


async def test_each_refresh_token_is_used_once_and_its_successor_kept_first(server: Scripted) -> None:
    kept: list[Any] = []

    async def keep(tokens: Tokens | None) -> None:
        kept.append((tokens, len(server.asked(ME))))

    server.on(ME, wants("a2"), wants("a2"), wants("a3"), wants("a3"))
    server.on(REFRESH, Reply(json=pair(2)), Reply(json=pair(3)))
    async with a_parlor(server.base, on_tokens=keep) as parlor:
        await parlor.get("/users/me")
        await parlor.get("/users/me")
    assert [one.json["refresh_token"] for one in server.asked(REFRESH)] == ["r1", "r2"]
    assert [(tokens.refresh_token, asked) for tokens, asked in kept] == [("r2", 1), ("r3", 3)]


@pytest.mark.parametrize("mark", [b"POST /api/v1/auth/refresh", b'"refresh_token"'], ids=["asking", "answer"])
async def test_a_refresh_whose_answer_is_lost_is_repeated_with_the_same_token(
    server: Scripted, mark: bytes
) -> None:
    server.on(ME, wants("a2"))
    server.on(REFRESH, Reply(json=pair(2)))
    way = Way.TO_SERVER if mark.startswith(b"POST") else Way.TO_CLIENT
    async with a_gate(server.base) as gate, a_parlor(gate.url) as parlor:
        trap = gate.set(Trap(way, mark))
        assert await parlor.get("/users/me") == {"id": "u1"}
        assert trap.sprung.is_set()
    assert {one.json["refresh_token"] for one in server.asked(REFRESH)} == {"r1"}


async def test_a_refresh_that_hangs_is_repeated_within_the_grace(
    server: Scripted, parlor: Parlor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = parlor.backoff.tries
    assert rest.REFRESH_TIMEOUT_S * (tries - 1) + sum(0.5 * 2**n for n in range(tries - 1)) < 20
    monkeypatch.setattr(rest, "REFRESH_TIMEOUT_S", 0.05)

    async def hangs(_: Request) -> Reply:
        await asyncio.sleep(0.2)
        return Reply(json=pair(2))

    server.on(ME, wants("a2"))
    server.on(REFRESH, hangs, Reply(json=pair(2)))
    assert await parlor.get("/users/me") == {"id": "u1"}


async def test_who_gives_up_waiting_does_not_end_the_refresh(server: Scripted) -> None:
    """The successor would be lost, and the session with it once the grace is over."""
    asked, go_on, kept = asyncio.Event(), asyncio.Event(), list[Any]()

    async def slow(_: Request) -> Reply:
        asked.set()
        await go_on.wait()
        return Reply(json=pair(2))

    server.on(ME, wants("a2"))
    server.on(REFRESH, slow)
    async with a_parlor(server.base, on_tokens=kept.append) as parlor:
        call = asyncio.create_task(parlor.get("/users/me"))
        await asked.wait()
        call.cancel()
        await asyncio.wait({call})
        asyncio.get_running_loop().call_soon(go_on.set)  # while the client is being closed
    assert call.cancelled()
    assert [one.refresh_token for one in kept] == ["r2"]


async def test_an_ended_session_says_so_to_everyone_and_forgets_its_tokens(server: Scripted) -> None:
    kept: list[Any] = []
    server.on(ME, problem(401, "invalid_token"))
    server.on(REFRESH, problem(401, "invalid_grant"))
    async with a_parlor(server.base, on_tokens=kept.append) as parlor:
        calls = (parlor.get("/users/me") for _ in range(5))
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in errors] == [SignedOut] * 5
        with pytest.raises(SignedOut):
            await parlor.get("/users/me")
    assert len(server.asked(REFRESH)) == 1
    assert kept == [None]


async def test_a_refresh_that_cannot_be_had_keeps_the_session(server: Scripted) -> None:
    server.on("POST /x", wants("a2"))
    server.on(REFRESH, *[problem(503, "unavailable")] * 4, Reply(json=pair(2)))
    async with a_parlor(server.base) as parlor:
        with pytest.raises(Problem, match="503 unavailable"):
            await parlor.post("/x")
        assert await parlor.post("/x") == {"id": "u1"}


async def test_a_new_token_that_is_refused_too_is_a_problem_and_no_loop(
    server: Scripted, parlor: Parlor
) -> None:
    server.on(ME, problem(401, "invalid_token"))
    server.on(REFRESH, Reply(json=pair(2)))
    with pytest.raises(Problem) as refused:
        await parlor.get("/users/me")
    assert refused.value.status == 401
    assert len(server.asked(REFRESH)) == 1
