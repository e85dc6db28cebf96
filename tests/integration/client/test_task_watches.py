"""Waiting for tasks, and watching them, where streams break off."""

import asyncio
import json

import pytest

from parlor.client import Parlor, Problem, tasks
from tests.faults.gate import a_gate
from tests.live import REFRESH, Noted, a_parlor, pair
from tests.scripted import Reply, Request, Scripted, problem
from tests.waiting import all_of, eventually, soon


async def test_waiting_goes_on_until_the_task_has_ended(server: Scripted, parlor: Parlor) -> None:
    answers = [{"id": "t1", "status": status} for status in ("queued", "running", "failed")]
    away = [problem(503, "unavailable")] * 8
    server.on("GET /tasks/t1", Reply(json=answers[0]), *away, *(Reply(json=one) for one in answers[1:]))
    assert await parlor.tasks.wait("t1") == answers[2]
    assert {one.query["wait"] for one in server.requests} == {"20"}


async def test_a_wait_that_is_answered_early_is_not_asked_again_at_once(server: Scripted) -> None:
    """As a process does that ends, or a server that does not know `wait`."""
    server.on("GET /tasks/t1", *(Reply(json={"status": one}) for one in ("queued", "running", "succeeded")))
    async with a_parlor(server.base, backoff=(backoff := Noted())) as parlor:
        await soon(parlor.tasks.wait("t1"))
    assert backoff.asked == [(0, 0), (0, 0)]


async def test_waiting_ends_in_time(server: Scripted, parlor: Parlor) -> None:
    server.on("GET /tasks/t1", Reply(json={"id": "t1", "status": "queued"}))
    with pytest.raises(TimeoutError):
        await parlor.tasks.wait("t1", timeout_s=0.05)


def told(version: int, status: str = "running", text: str = "") -> bytes:
    task = json.dumps({"id": "t1", "version": version, "status": status, "text": text}, ensure_ascii=False)
    return f"event: task\nid: {version}\ndata: {task}\n\n".encode()


def stream(*parts: bytes) -> Reply:
    return Reply(headers={"content-type": "text/event-stream"}, parts=(b"retry: 2000\n\n:\n\n", *parts))


async def test_a_watch_is_resumed_with_the_last_version_seen(server: Scripted, parlor: Parlor) -> None:
    """Whatever the bytes are cut into; a line separator of Unicode's is none of the protocol's."""
    odd = "a\u2028b\u0085c\x1cÜ"
    cut = [bytes([byte]) for byte in told(4, text=odd)]
    server.on(
        "GET /tasks/t1/events",
        stream(told(2), told(3)[:20]),
        problem(503, "busy"),
        stream(told(2), *cut),  # something between has lost the header
        stream(b":\n\n"),
        stream(told(9, "succeeded"), told(10)),
    )
    seen = await all_of(parlor.tasks.watch("t1"))
    assert [task["version"] for task in seen] == [2, 4, 9]
    assert seen[1]["text"] == odd
    assert [one.headers["last-event-id"] for one in server.requests] == ["0", "2", "2", "4", "4"]


async def test_a_watch_survives_a_cut_and_an_ended_token(server: Scripted) -> None:
    def later(request: Request) -> Reply:
        known = request.headers["authorization"] == "Bearer a2"
        return stream(told(3, "failed")) if known else problem(401, "invalid_token")

    go_on = asyncio.Event()

    async def hangs(_: Request) -> Reply:
        await go_on.wait()
        return stream()

    server.on("GET /tasks/t1/events", stream(told(2)), hangs, later)
    server.on(REFRESH, Reply(json=pair(2)))
    async with a_gate(server.base) as gate, a_parlor(gate.url) as parlor:
        watch = parlor.tasks.watch("t1")
        assert (await soon(anext(watch)))["version"] == 2
        last = asyncio.create_task(anext(watch))
        await eventually(lambda: len(server.requests) == 2)
        gate.cut()
        assert (await soon(last))["version"] == 3
        go_on.set()


async def test_a_task_whose_end_was_seen_is_watched_no_longer(server: Scripted, parlor: Parlor) -> None:
    server.on("GET /tasks/t1/events", Reply(204))
    assert await all_of(parlor.tasks.watch("t1", seen=7)) == []
    assert server.requests[0].headers["last-event-id"] == "7"


async def test_a_task_that_is_not_there_is_not_waited_for(server: Scripted, parlor: Parlor) -> None:
    server.on("GET /tasks/t1/events", problem(404, "not_found"))
    server.on("GET /tasks/t1", problem(404, "not_found"))
    with pytest.raises(Problem, match="not_found"):
        await soon(anext(parlor.tasks.watch("t1")))
    with pytest.raises(Problem, match="not_found"):
        await parlor.tasks.wait("t1")


async def test_a_silent_stream_is_opened_anew(
    server: Scripted, parlor: Parlor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "SILENCE_S", 0.05)

    async def silent(_: Request) -> Reply:
        await asyncio.sleep(0.3)
        return stream(told(2))

    server.on("GET /tasks/t1/events", silent, stream(told(3, "succeeded")))
    (seen,) = await all_of(parlor.tasks.watch("t1"))
    assert seen["version"] == 3
