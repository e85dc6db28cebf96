"""What is said over a WebSocket, and how one is opened, kept and left."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from parlor.client import Parlor, Realtime, Refused, SignedOut, Unreachable, realtime
from tests.certificates import a_certificate
from tests.live import (
    CHAT,
    REFRESH,
    TICKETS,
    a_parlor,
    caught_up,
    change,
    greets,
    message,
    pair,
    revs,
    says,
    subscribed,
)
from tests.scripted import HELLO, Peer, Reply, Script, Scripted, a_scripted_server, problem
from tests.waiting import all_of, eventually, soon


async def test_a_message_is_said_again_until_it_is_known_to_be_sent(server: Scripted, live: Realtime) -> None:
    heard: list[Any] = []

    async def falls_silent(peer: Peer) -> None:
        await peer.says(HELLO)
        heard.append(await peer.hears("send"))
        await peer.closes()

    async def answers(peer: Peer) -> None:
        await peer.says(HELLO)
        heard.append(await peer.hears("send"))
        await peer.says({"type": "sent", "client_id": heard[-1]["client_id"], "message": message(7)})

    server.play(falls_silent, falls_silent, answers)
    assert await live.send(CHAT, "hello") == message(7)
    assert heard[0] == heard[1] == heard[2]
    assert {name: heard[0][name] for name in ("type", "chat_id", "text")} == {
        "type": "send",
        "chat_id": CHAT,
        "text": "hello",
    }
    assert live._sends == {}


async def test_an_answer_lost_on_a_living_connection_is_asked_for_again(
    server: Scripted, live: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime, "REPEAT_S", 0.01)

    async def script(peer: Peer) -> None:
        await peer.says(HELLO)
        first, second = await peer.hears("send"), await peer.hears("send")
        assert first == second
        await peer.says({"type": "sent", "client_id": first["client_id"], "message": message(7)})

    server.play(script)
    assert await live.send(CHAT, "hello", client_id="mine") == message(7)


async def test_a_refused_message_is_told_to_who_sent_it(server: Scripted, live: Realtime) -> None:
    async def script(peer: Peer) -> None:
        await peer.says(HELLO)
        client_id = (await peer.hears("send"))["client_id"]
        await peer.says({"type": "error", "code": "blank", "client_id": client_id, "chat_id": CHAT})

    server.play(script)
    with pytest.raises(Refused) as refused:
        await live.send(CHAT, " ")
    assert refused.value.code == "blank"


async def test_a_message_that_nobody_takes_is_given_up_in_time(server: Scripted, live: Realtime) -> None:
    server.play(greets)
    with pytest.raises(TimeoutError):
        await live.send(CHAT, "hello", timeout_s=0.01)
    assert live._sends == {}


async def test_how_far_one_has_read_is_said_again_and_typing_is_not(server: Scripted, live: Realtime) -> None:
    heard: list[Any] = []

    async def hears_two(peer: Peer) -> None:
        await peer.says(HELLO, {"type": "typing", "chat_id": CHAT, "user_id": "u2"})
        heard.extend([await peer.hears(), await peer.hears()])
        await peer.closes()

    async def hears_one(peer: Peer) -> None:
        await peer.says(HELLO)
        heard.append(await peer.hears())

    server.play(hears_two, hears_one)
    assert (await soon(anext(live.signals)))["user_id"] == "u2"
    await live.typing(CHAT)
    await live.read(CHAT, 5)
    await eventually(lambda: len(heard) == 3)
    assert [frame["type"] for frame in heard] == ["typing", "read", "read"]
    await live.read(CHAT, 3)
    assert live._reads == {CHAT: 5}


async def test_a_task_is_watched_across_connections_to_its_end(server: Scripted, live: Realtime) -> None:
    def task(version: int, status: str = "running") -> dict[str, Any]:
        return {"type": "task", "task": {"id": "t1", "version": version, "status": status}}

    def plays(*frames: Any, closes: bool) -> Script:
        async def script(peer: Peer) -> None:
            await peer.says(HELLO)
            assert await peer.hears() == {"type": "watch_task", "task_id": "t1"}
            for frame in frames:
                await peer.says(frame)
                await asyncio.sleep(0)
            if closes:
                await peer.closes()

        return script

    server.play(plays(task(2), closes=True), plays(task(2), task(1), task(4, "succeeded"), closes=False))
    versions = [seen["version"] for seen in await all_of(live.watch_task("t1"))]
    assert versions[-1] == 4
    assert versions in ([2, 4], [4])  # a newer state stands for those before it
    assert live._tasks == {}


async def test_a_task_that_is_not_there_is_refused(server: Scripted, live: Realtime) -> None:
    async def script(peer: Peer) -> None:
        await peer.says(HELLO)
        await peer.hears("watch_task")
        await peer.says({"type": "error", "code": "not_found", "task_id": "t1"})

    server.play(script)
    with pytest.raises(Refused, match="not_found"):
        await soon(anext(live.watch_task("t1")))


async def test_an_ended_session_is_refreshed_and_the_connection_opened_again(
    server: Scripted, live: Realtime
) -> None:
    server.on(REFRESH, Reply(json=pair(2)))
    server.play(
        says(subscribed(1), caught_up(1), change(2), expects=1, closes=4401),
        says(subscribed(2), caught_up(2), change(3), expects=2),
    )
    assert await revs(live.chat(CHAT, since_rev=1), 2) == [2, 3]
    assert [one.headers["authorization"] for one in server.asked(TICKETS)] == ["Bearer a1", "Bearer a2"]
    assert [one.json for one in server.asked(REFRESH)] == [{"refresh_token": "r1"}]


async def test_where_no_refresh_helps_every_reader_is_told(server: Scripted, live: Realtime) -> None:
    server.on(REFRESH, problem(401, "invalid_grant"))
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.says(HELLO)
        await go_on.wait()
        await peer.closes(4401)

    server.play(script)
    readers: list[Any] = [
        anext(live.chat(CHAT)),
        live.send(CHAT, "hello"),
        anext(live.watch_task("t1")),
        anext(live.signals),
    ]
    told = asyncio.gather(*readers, return_exceptions=True)
    await eventually(lambda: live._chats and live._sends and live._tasks)
    go_on.set()
    assert [type(one) for one in await soon(told)] == [SignedOut] * 4
    with pytest.raises(SignedOut):
        await live.send(CHAT, "hello")


async def test_what_is_refused_before_the_upgrade_is_told(server: Scripted, live: Realtime) -> None:
    server.on(TICKETS, Reply(201, {"ticket": "unknown", "expires_in": 30}))
    with pytest.raises(Refused, match="http_403"):
        await soon(anext(live.chat(CHAT)))


@pytest.mark.parametrize("greeting", ["no JSON", [], {"type": "welcome"}], ids=["text", "list", "other"])
async def test_a_server_that_does_not_greet_is_tried_again(
    server: Scripted, live: Realtime, greeting: Any
) -> None:
    async def greets_wrongly(peer: Peer) -> None:
        await peer.says(greeting)

    server.play(greets_wrongly, says(subscribed(1), change(2)))
    assert await revs(live.chat(CHAT), 1) == [2]


async def test_it_says_something_every_heartbeat_and_leaves_a_server_that_is_silent(
    server: Scripted, live: Realtime
) -> None:
    async def silent(peer: Peer) -> None:
        await peer.says({**HELLO, "heartbeat_s": 0.02})
        await peer.hears("ping")

    server.play(silent, says(subscribed(1), change(2)))
    assert await revs(live.chat(CHAT), 1) == [2]
    assert server.peers[0].closed_with == 1005  # without a goodbye


async def test_signals_that_nobody_reads_are_forgotten(
    server: Scripted, parlor: Parlor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime, "SIGNALS", 3)
    frames = [{"type": "typing", "chat_id": CHAT, "user_id": f"u{number}"} for number in range(9)]
    server.play(says(*frames, subscribed(1), change(2)))
    async with parlor.realtime() as live:
        assert await revs(live.chat(CHAT), 1) == [2]
        assert [(await soon(anext(live.signals)))["user_id"] for _ in range(3)] == ["u6", "u7", "u8"]


async def test_closing_says_goodbye_and_leaves_nothing_behind(server: Scripted, parlor: Parlor) -> None:
    server.play(greets)
    before = asyncio.all_tasks()
    async with parlor.realtime() as live:
        chat = live.chat(CHAT)
        reader = asyncio.create_task(anext(chat, "over"))
        await eventually(lambda: live._connection.is_open)
    assert await soon(reader) == "over"
    await eventually(lambda: server.peers[0].closed_with == 1000)
    mine = {one for one in asyncio.all_tasks() - before if "parlor/client" in str(one.get_coro())}
    assert mine == set()


async def test_what_was_not_opened_says_so(parlor: Parlor) -> None:
    with pytest.raises(Unreachable, match="open it first"):
        await soon(anext(parlor.realtime().chat(CHAT)))


async def test_a_server_of_one_s_own_authority_is_trusted_where_that_is_asked_for(tmp_path: Path) -> None:
    server_tls, client_tls = a_certificate(tmp_path, "localhost")
    async with a_scripted_server(server_tls) as server:
        server.play(says(subscribed(1), change(2)))
        async with a_parlor(server.base, tls=client_tls) as parlor, parlor.realtime() as live:
            assert await revs(live.chat(CHAT), 1) == [2]
        async with a_parlor(server.base) as parlor:
            with pytest.raises(Unreachable):
                await parlor.get("/users/me")
