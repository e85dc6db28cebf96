"""The WebSocket on a real server and real tables: what is told, to whom, and how it ends."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from parlor.core.chats import changes, following, live
from parlor.core.chats.changes import channel_of
from parlor.core.identity.ports import AccessTokens, IdentityWork
from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import ChatId, uuid7
from parlor.core.shared.work import UnitOfWork
from parlor.entrypoints.http import conversation, mailbox, websockets
from tests.builders import a_session, a_user
from tests.conftest import named
from tests.databases import drop, execute
from tests.serving import Api, an_api
from tests.waiting import eventually
from tests.wire import Wire, a_wire, address_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who is signed in."""

    id: str
    client: httpx.AsyncClient

    async def opens(self, *others: "Guest") -> str:
        ids = [other.id for other in others]
        answer = await self.client.post("/chats", json={"kind": "group", "member_ids": ids})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def says(self, chat: str, text: str = "hi") -> Any:
        answer = await self.client.post(f"/chats/{chat}/messages", json={"text": text})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def does(self, method: str, path: str, body: object = None) -> None:
        answer = await self.client.request(method, path, json=body)
        assert answer.is_success, answer.text


@dataclass(frozen=True, slots=True)
class Stage:
    """A server, and two people with a chat."""

    api: Api
    guests: AsyncExitStack
    ada: Guest
    bob: Guest
    chat: str

    async def guest(self) -> Guest:
        return await a_guest(self.api, self.guests)


async def a_guest(api: Api, guests: AsyncExitStack) -> Guest:
    """Sign somebody new in, without the cost of a password."""
    user = a_user()
    session = a_session(user, expires_at=user.created_at.replace(year=2126))
    async with api.container.get(UnitOfWork[IdentityWork])() as work:
        await work.users.add(user)
        await work.sessions.add(user, session)
    token = api.container.get(AccessTokens).issue(user.id, session.id, epoch=0, token_id=uuid7()).token
    headers = {"Authorization": f"Bearer {token}"}
    client = httpx.AsyncClient(base_url=f"{api.base}/api/v1", headers=headers, trust_env=False, timeout=40)
    return Guest(str(user.id), await guests.enter_async_context(client))


@asynccontextmanager
async def a_server(postgres_url: str, template: str, **settings: str) -> AsyncIterator[Api]:
    name = f"parlor_test_{uuid4().hex}"
    await execute(postgres_url, f"create database {name} template {template} strategy file_copy")
    try:
        async with an_api(named(postgres_url, name), **settings) as api:
            yield api
    finally:
        await drop(postgres_url, name)


@asynccontextmanager
async def a_stage(api: Api) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as guests:
        ada, bob = await a_guest(api, guests), await a_guest(api, guests)
        yield Stage(api, guests, ada, bob, await ada.opens(bob))


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="api")
async def one_api(postgres_url: str, template: str) -> AsyncIterator[Api]:
    """Serve for all tests of this file."""
    async with a_server(postgres_url, template) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="module", name="stage")
async def one_stage(api: Api) -> AsyncIterator[Stage]:
    """Give each test people and a chat of its own."""
    async with a_stage(api) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="strict")
async def strict_api(postgres_url: str, template: str) -> AsyncIterator[Api]:
    """Serve to few, and to pages of two sites."""
    settings = {
        "PARLOR_SOCKETS_PER_USER": "2",
        "PARLOR_SUBSCRIPTIONS_PER_SOCKET": "1",
        "PARLOR_FRAMES_PER_S": "1",
        "PARLOR_CORS_ORIGINS": "https://lounge.example",
        "PARLOR_PUBLIC_URL": "https://me.example/",
    }
    async with a_server(postgres_url, template, **settings) as api:
        yield api


def revs(frames: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(frame["type"], frame["rev"]) for frame in frames if "rev" in frame]


async def test_each_change_is_told_as_rest_shows_it(stage: Stage) -> None:
    ada, chat = stage.ada, stage.chat
    async with a_wire(stage.bob.client) as wire:
        assert (await wire.follow(chat)) == {
            "type": "subscribed",
            "chat_id": chat,
            "last_rev": 0,
            "last_seq": 0,
        }
        said = await ada.says(chat)
        place = f"/chats/{chat}/messages/{said['id']}"
        await ada.does("PUT", f"{place}/reactions/x")
        await ada.does("PATCH", place, {"text": "ho"})
        await ada.does("DELETE", place)
        created = await wire.hear("message.created")
        assert created == {"type": "message.created", "chat_id": chat, "rev": 1, "message": said}
        assert (await wire.hear("reaction"))["message"]["reactions"] == {"x": 1}
        assert (await wire.hear("message.edited"))["message"]["text"] == "ho"
        assert (await wire.hear("message.deleted"))["message"]["text"] is None
        guest = await stage.guest()
        await ada.does("POST", f"/chats/{chat}/members", {"user_id": guest.id})
        joined = await wire.hear("members")
        assert joined == {
            "type": "members",
            "chat_id": chat,
            "rev": 5,
            "user_id": guest.id,
            "change": "joined",
        }
        assert revs(wire.passed) == []


async def test_a_replay_brings_each_changed_message_once_and_then_what_happens(stage: Stage) -> None:
    ada, chat = stage.ada, stage.chat
    first, second, third = [await ada.says(chat, text) for text in ("one", "two", "three")]
    await ada.does("PATCH", f"/chats/{chat}/messages/{first['id']}", {"text": "uno"})
    await ada.does("DELETE", f"/chats/{chat}/messages/{second['id']}")
    async with a_wire(stage.bob.client) as wire:
        assert (await wire.follow(chat, since_rev=0))["last_rev"] == 5
        replay = await wire.caught_up()
        assert revs(replay) == [
            ("message.created", 3),
            ("message.edited", 4),
            ("message.deleted", 5),
            ("caught_up", 5),
        ]
        assert replay[0]["message"]["id"] == third["id"]
        await ada.says(chat, "four")
        assert revs([await wire.next()]) == [("message.created", 6)]


async def test_a_client_that_knows_everything_is_caught_up_at_once(stage: Stage) -> None:
    await stage.ada.says(stage.chat)
    async with a_wire(stage.bob.client) as wire:
        await wire.follow(stage.chat, since_rev=1)
        assert await wire.caught_up() == [{"type": "caught_up", "chat_id": stage.chat, "rev": 1}]


async def test_more_changes_than_are_replayed_are_one_gap_and_then_what_happens(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert live.PAGE == 500
    monkeypatch.setattr(following, "PAGE", 5)
    for number in range(6):
        await stage.ada.says(stage.chat, str(number))
    async with a_wire(stage.bob.client) as wire:
        await wire.follow(stage.chat, since_rev=0)
        gap, end = await wire.caught_up()
        assert gap == {"type": "gap", "chat_id": stage.chat, "from_rev": 1, "to_rev": 6}
        assert end["rev"] == 6
        await stage.ada.says(stage.chat)
        assert (await wire.hear("message.created"))["rev"] == 7
    async with a_wire(stage.bob.client) as wire:
        await wire.follow(stage.chat, since_rev=2)
        assert [rev for _, rev in revs(await wire.caught_up())] == [*range(3, 8), 7]


async def test_sending_answers_with_the_message_and_twice_is_once(stage: Stage) -> None:
    async with a_wire(stage.bob.client) as wire:
        for _ in range(2):
            await wire.say("send", chat_id=stage.chat, text="hi", client_id="one")
            sent = await wire.hear("sent")
            assert (sent["client_id"], sent["message"]["seq"]) == ("one", 1)
        await wire.say("send", chat_id=stage.chat, text="else", client_id="one")
        error = await wire.hear("error")
        assert (error["code"], error["client_id"]) == ("client_id_reused", "one")


async def test_typing_and_reading_are_told_to_the_others(stage: Stage) -> None:
    await stage.ada.says(stage.chat)
    async with a_wire(stage.ada.client) as ada, a_wire(stage.bob.client) as bob:
        await ada.follow(stage.chat)
        await bob.follow(stage.chat)
        await bob.say("typing", chat_id=stage.chat)
        typing = await ada.hear("typing")
        assert typing == {"type": "typing", "chat_id": stage.chat, "user_id": stage.bob.id}
        await bob.say("read", chat_id=stage.chat, seq=99)
        read = await ada.hear("read")
        assert read == {"type": "read", "chat_id": stage.chat, "user_id": stage.bob.id, "seq": 1}
        assert "typing" not in {frame["type"] for frame in await bob.quiet()}


async def test_who_comes_and_who_goes_is_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlor.core.chats.live.ATTEND_S", 0.01)
    monkeypatch.setattr("parlor.core.chats.presence.GRACE_S", 0.05)
    async with a_wire(stage.ada.client) as ada:
        await ada.follow(stage.chat)
        async with a_wire(stage.bob.client) as bob:
            await bob.follow(stage.chat)
            assert (await bob.hear("presence")) == {
                "type": "presence",
                "user_id": stage.ada.id,
                "online": True,
            }
            assert (await ada.hear("presence")) == {
                "type": "presence",
                "user_id": stage.bob.id,
                "online": True,
            }
        assert (await ada.hear("presence"))["online"] is False


async def test_a_task_is_watched_until_it_has_ended(stage: Stage) -> None:
    task = (await stage.ada.client.post("/tasks", json={"kind": "truth_or_dare", "payload": {}})).json()
    async with a_wire(stage.ada.client) as wire, a_wire(stage.bob.client) as other:
        await wire.say("watch_task", task_id=task["id"])
        assert (await wire.hear("task"))["task"]["status"] == "queued"
        await stage.ada.does("POST", f"/tasks/{task['id']}/cancel")
        assert (await wire.hear("task"))["task"]["status"] == "cancelled"
        await other.say("watch_task", task_id=task["id"])
        error = await other.hear("error")
        assert (error["code"], error["task_id"]) == ("not_found", task["id"])


@pytest.mark.parametrize("kind", ["subscribe", "typing", "send", "read", "unsubscribe"])
async def test_a_strangers_chat_is_not_found(stage: Stage, kind: str) -> None:
    guest = await stage.guest()
    more: dict[str, Any] = {"send": {"text": "hi"}, "read": {"seq": 1}}.get(kind, {})  # type: ignore[assignment]  # fields
    async with a_wire(guest.client) as wire:
        for chat in (stage.chat, str(uuid4())):
            await wire.say(kind, chat_id=chat, **more)
            error = await wire.hear("error")
            assert (error["code"], error["chat_id"]) == ("not_found", chat)
        assert wire.passed == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"type":"dance"}',
        '{"type":["ping"]}',
        '{"type":"ping","extra":1}',
        '{"type":"subscribe"}',
        '{"type":"subscribe","chat_id":7}',
        '{"type":"subscribe","chat_id":"x"}',
        '{"type":"ping","type":"ping"}',
        '{"type":"send","chat_id":"00000000-0000-7000-8000-000000000000","text":" ","client_id":"c"}',
        b"{}",
        "[" * 60_000,
    ],
    ids=range(14),
)
async def test_a_malformed_frame_is_told_so_and_costs_nothing_else(stage: Stage, text: str | bytes) -> None:
    async with a_wire(stage.ada.client) as wire:
        await wire.socket.send(text)
        assert (await wire.hear("error"))["code"] == "invalid_frame"
        assert await wire.quiet() == []


async def test_who_is_removed_hears_nothing_of_what_comes_after(stage: Stage) -> None:
    async with a_wire(stage.bob.client) as wire:
        await wire.follow(stage.chat)
        await stage.ada.says(stage.chat)
        await stage.ada.does("DELETE", f"/chats/{stage.chat}/members/{stage.bob.id}")
        await stage.ada.says(stage.chat, "about bob")
        ended = await wire.hear("unsubscribed")
        assert ended == {"type": "unsubscribed", "chat_id": stage.chat, "reason": "removed"}
        assert revs(await wire.quiet()) == [("message.created", 1)]
        await stage.ada.does("POST", f"/chats/{stage.chat}/members", {"user_id": stage.bob.id})
        await wire.follow(stage.chat, since_rev=1)
        assert [rev for _, rev in revs(await wire.caught_up())] == [3, 4, 4]


async def test_a_deleted_chat_ends_its_subscriptions(stage: Stage) -> None:
    async with a_wire(stage.bob.client) as wire:
        await wire.follow(stage.chat)
        await stage.ada.does("DELETE", f"/chats/{stage.chat}")
        assert (await wire.hear("unsubscribed"))["reason"] == "deleted"


async def test_who_unsubscribes_hears_no_more(stage: Stage) -> None:
    async with a_wire(stage.bob.client) as wire:
        await wire.follow(stage.chat)
        await wire.say("unsubscribe", chat_id=stage.chat)
        assert (await wire.hear("unsubscribed"))["reason"] == "asked"
        await stage.ada.says(stage.chat)
        assert revs(await wire.quiet()) == []


async def test_a_change_whose_hint_is_lost_is_found_in_the_table(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object) -> None: ...

    async with a_wire(stage.bob.client) as wire:
        await wire.follow(stage.chat)
        with monkeypatch.context() as patch:
            patch.setattr(changes, "written", lambda _: b"")
            said = await stage.ada.says(stage.chat)
        assert (await wire.hear("message.created"))["message"] == said


async def test_a_revoked_session_closes_its_connections_and_no_others(stage: Stage) -> None:
    async with a_wire(stage.bob.client) as wire, a_wire(stage.ada.client) as other:
        await stage.bob.does("POST", "/auth/logout")
        assert await wire.end() == 4401
        assert wire.passed[-1]["code"] == "session_ended"
        assert await other.quiet() == []


async def test_an_access_token_in_the_header_opens_it(stage: Stage) -> None:
    headers = {"Authorization": stage.bob.client.headers["Authorization"]}
    async with connect(address_of(stage.bob.client), additional_headers=headers, proxy=None) as connection:
        hello = await Wire(connection).hear("hello")
        assert hello["max_frame"] == conversation.MAX_FRAME


async def refusal(address: str, **options: Any) -> dict[str, Any]:
    """Be refused before the upgrade."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address, proxy=None, **options):
            pass
    answer = refused.value.response
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    problem: dict[str, Any] = json.loads(answer.body or b"")
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    return problem


async def test_a_ticket_opens_one_connection_and_nothing_else_does(stage: Stage) -> None:
    client = stage.bob.client
    ticket = (await client.post("/realtime/tickets")).json()["ticket"]
    address = address_of(client, f"?ticket={ticket}")
    async with connect(address, proxy=None):
        assert (await refusal(address))["code"] == "invalid_ticket"
    assert (await refusal(address_of(client)))["code"] == "unauthenticated"
    assert (await refusal(address_of(client, "?ticket=")))["status"] == 401
    bad = {"Authorization": "Bearer bad"}
    assert (await refusal(address_of(client), additional_headers=bad))["code"] == "invalid_token"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost.evil.example"])
async def test_a_foreign_origin_is_refused(stage: Stage, origin: str) -> None:
    ticket = (await stage.bob.client.post("/realtime/tickets")).json()["ticket"]
    problem = await refusal(address_of(stage.bob.client, f"?ticket={ticket}"), origin=origin)
    assert (problem["status"], problem["code"]) == (403, "foreign_origin")


async def test_ones_own_and_configured_origins_may_open_it(strict: Api) -> None:
    async with a_stage(strict) as stage:
        for origin in (strict.base, "https://lounge.example", "https://me.example"):
            async with a_wire(stage.bob.client, origin=origin) as wire:
                assert await wire.quiet() == []


async def test_what_is_no_handshake_is_refused_with_a_problem(stage: Stage) -> None:
    asked = {"Connection": "Upgrade", "Upgrade": "websocket"}
    answer = await stage.bob.client.get("/realtime", headers=asked)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_handshake")
    long = asked | {"Cookie": "x" * 20_000}
    answer = await stage.bob.client.get("/realtime", headers=long)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_handshake")
    assert (await stage.bob.client.get("/users/me", headers=asked)).status_code == 200


async def test_a_frame_that_is_too_large_ends_the_connection(stage: Stage) -> None:
    async with a_wire(stage.bob.client) as wire:
        await wire.socket.send("x" * (conversation.MAX_FRAME + 1))
        assert await wire.end() == 1009
        assert wire.passed[-1]["code"] == "frame_too_large"
    async with a_wire(stage.bob.client) as wire:
        await wire.socket.send("x" * (3 * conversation.MAX_FRAME))
        assert await wire.end() == 1009


async def test_too_much_is_told_in_a_frame_and_then_ends_the_connection(strict: Api) -> None:
    async with a_stage(strict) as stage:
        other = await stage.ada.opens(stage.bob)
        async with a_wire(stage.bob.client) as wire:
            await wire.follow(stage.chat)
            await wire.follow(stage.chat)  # again is the same one
            await wire.say("subscribe", chat_id=other)
            assert await wire.end() == 4429
            assert [frame["code"] for frame in wire.passed if "code" in frame] == [
                "too_many_subscriptions"
            ] * 2
        async with a_wire(stage.bob.client), a_wire(stage.bob.client) as second:
            async with a_wire(stage.bob.client) as third:
                assert await third.end() == 4429
                assert third.passed[-1]["code"] == "too_many_connections"
            for _ in range(8):
                await second.say("ping")
            assert await second.end() == 4429
            assert second.passed[-1]["code"] == "too_many_frames"


async def test_a_reader_who_reads_nothing_gets_a_gap_and_4408_and_delays_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "STUCK_S", 0.2)
    monkeypatch.setattr(mailbox, "MOST_FRAMES", 10)
    monkeypatch.setattr(websockets, "SEND_BUFFER_BYTES", 4096)
    guest = await stage.guest()
    await stage.ada.does("POST", f"/chats/{stage.chat}/members", {"user_id": guest.id})
    small = socket.create_connection(("127.0.0.1", int(stage.api.base.rpartition(":")[2])))
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with a_wire(stage.bob.client, sock=small, max_queue=1) as slow, a_wire(guest.client) as quick:
        await slow.follow(stage.chat)
        await quick.follow(stage.chat)
        for number in range(2, 70):
            await stage.ada.says(stage.chat, "x" * 4000)
            assert (await quick.hear("message.created"))["rev"] == number
        assert await slow.end() == 4408
        told = [frame for frame in slow.passed if "chat_id" in frame]
        assert told[-1]["type"] == "gap"
        seen = [rev for _, rev in revs(told)]
        gap = told[-1]
        assert seen == list(range(2, gap["from_rev"]))
        assert gap["to_rev"] > gap["from_rev"] + 10
        assert [frame["code"] for frame in slow.passed if frame["type"] == "error"] == ["too_slow"]
        closed = stage.api.container.meters.tally("parlor_websockets_closed_total", "", "reason")
        await eventually(lambda: closed.readings()["too_slow",])
        assert {frame["type"] for frame in await quick.quiet()} <= {"message.created", "presence"}


async def test_pings_that_nobody_takes_the_answers_of_are_not_kept(stage: Stage) -> None:
    open_before = set(stage.api.server.server_state.connections)
    async with a_wire(stage.bob.client, max_queue=1) as wire:
        (served,) = [
            one
            for one in stage.api.server.server_state.connections - open_before
            if isinstance(one, websockets.LimitedWebSocket)
        ]
        served.pause_writing()  # as the transport says of a peer who takes nothing
        writes: list[bytes] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(served, "transport", Told(writes))
            for _ in range(100):
                served.data_received(masked(0x9, b"x" * 100))
        assert writes == []
        served.resume_writing()
        assert await wire.quiet() == []


async def test_a_message_in_very_many_fragments_ends_the_connection(stage: Stage) -> None:
    async with a_wire(stage.bob.client) as wire:
        wire.socket.transport.write(masked(0x1, b"{", last=False) + masked(0x0, b"", last=False) * 100)
        assert await wire.end() == 1009


@dataclass
class Told:
    """A transport that keeps what it is told to write."""

    writes: list[bytes]

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def is_closing(self) -> bool:
        return False


def masked(opcode: int, payload: bytes, *, last: bool = True) -> bytes:
    """Write a client's frame, under a mask of zeros."""
    assert len(payload) < 126
    return bytes([opcode | (0x80 if last else 0), 0x80 | len(payload), 0, 0, 0, 0]) + payload


async def test_a_server_that_ends_tells_its_clients_to_come_back(postgres_url: str, template: str) -> None:
    async with (
        a_server(postgres_url, template) as api,
        a_stage(api) as stage,
        a_wire(stage.bob.client) as wire,
    ):
        await wire.follow(stage.chat)
        stopping = asyncio.create_task(api.stop())
        assert await wire.end() == 1012
        await stopping


async def test_an_empty_room_is_not_listened_to(stage: Stage) -> None:
    feed: Any = stage.api.container.get(Feed)
    channel = channel_of(ChatId(UUID(stage.chat)))
    async with a_wire(stage.bob.client) as wire:
        await wire.follow(stage.chat)
        assert channel in feed._listeners
    await eventually(lambda: channel not in feed._listeners)
