"""A chat as its reader sees it, over connections that go wrong."""

import asyncio
from typing import Any

import pytest

from parlor.client import Realtime, Refused, chats
from tests.faults.gate import a_gate
from tests.live import (
    CHANGES,
    CHAT,
    TICKETS,
    a_parlor,
    caught_up,
    change,
    message,
    pulled,
    revs,
    says,
    subscribed,
)
from tests.scripted import HELLO, Peer, Reply, Request, Scripted, problem
from tests.waiting import all_of, eventually, soon


async def test_changes_are_given_in_order_and_the_position_with_them(
    server: Scripted, live: Realtime
) -> None:
    left = {"type": "members", "chat_id": CHAT, "rev": 44, "user_id": "u1", "change": "left"}
    server.play(says(subscribed(41), caught_up(41), change(42), change(43), left, expects=41))
    chat = live.chat(CHAT, since_rev=41)
    assert await revs(chat, 3) == [42, 43, 44]
    assert chat.rev == 44


async def test_holes_of_a_replay_are_normal(server: Scripted, live: Realtime) -> None:
    """Nothing is pulled: what is missing was changed again, or was no message."""
    server.play(says(subscribed(9), change(3), change(7), caught_up(9), change(10), expects=0))
    assert await revs(live.chat(CHAT, since_rev=0), 3) == [3, 7, 10]
    assert server.asked(CHANGES) == []


async def test_without_a_position_it_begins_with_what_comes(server: Scripted, live: Realtime) -> None:
    server.play(says(subscribed(57), change(58)))
    chat = live.chat(CHAT)
    assert await revs(chat, 1) == [58]


async def test_a_position_is_kept_even_where_nothing_came_before_the_connection_was_lost(
    server: Scripted, live: Realtime
) -> None:
    server.play(says(subscribed(57), closes=1012), says(subscribed(59), change(58), change(59), expects=57))
    assert await revs(live.chat(CHAT), 2) == [58, 59]


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 4408])
async def test_a_closed_connection_is_resumed_where_it_was(
    server: Scripted, live: Realtime, code: int
) -> None:
    first = says(subscribed(1), caught_up(1), change(2), change(3), expects=1, closes=code)
    server.play(first, says(subscribed(5), change(4), change(5), caught_up(5), change(6), expects=3))
    assert await revs(live.chat(CHAT, since_rev=1), 5) == [2, 3, 4, 5, 6]
    tickets = server.asked(TICKETS)
    assert len(tickets) == 2


async def test_duplicates_are_dropped(server: Scripted, live: Realtime) -> None:
    frames = [change(2), change(2), change(1), change(3), change(2), change(3), change(4)]
    server.play(says(subscribed(1), caught_up(1), *frames, expects=1))
    assert await revs(live.chat(CHAT, since_rev=1), 3) == [2, 3, 4]


async def test_a_gap_is_pulled_page_by_page_and_what_follows_it_comes_live(
    server: Scripted, live: Realtime
) -> None:
    gap = {"type": "gap", "chat_id": CHAT, "from_rev": 2, "to_rev": 600}
    first = pulled(message(2), message(5, deleted=True), next_rev=5, last_rev=601)
    last = pulled(message(80, edited=True), message(601), last_rev=601)
    server.on(CHANGES, first, last)
    server.play(says(subscribed(600), gap, caught_up(600), change(601), change(602), expects=1))
    chat = live.chat(CHAT, since_rev=1)
    seen = [await soon(anext(chat)) for _ in range(5)]
    assert [(one["rev"], one["type"]) for one in seen] == [
        (2, "message.created"),
        (5, "message.deleted"),
        (80, "message.edited"),
        (601, "message.created"),
        (602, "message.created"),
    ]
    assert [one.query["since_rev"] for one in server.asked(CHANGES)] == ["1", "5"]


async def test_who_may_have_missed_joins_reads_the_members(server: Scripted, live: Realtime) -> None:
    server.on(CHANGES, pulled(message(3), last_rev=3))
    first, last = ({"user_id": name} for name in ("u1", "u2"))
    server.on(
        f"GET /chats/{CHAT}/members",
        Reply(json={"items": [first], "next_cursor": "more"}),
        Reply(json={"items": [last], "next_cursor": None}),
    )
    gap = {"type": "gap", "chat_id": CHAT, "from_rev": 3, "to_rev": 3}
    server.play(says(subscribed(1), caught_up(1), change(2), gap, change(4), expects=1))
    chat = live.chat(CHAT, since_rev=1)
    assert (await revs(chat, 1), chat.members_missed) == ([2], False)
    assert (await revs(chat, 2), chat.members_missed) == ([3, 4], True)
    assert await chat.members() == [first, last]
    assert not chat.members_missed
    asked = server.asked(f"GET /chats/{CHAT}/members")
    assert [one.query.get("cursor") for one in asked] == [None, "more"]


async def test_a_hole_is_pulled_and_the_late_frame_dropped(server: Scripted, live: Realtime) -> None:
    server.on(CHANGES, pulled(message(2), message(3), message(5), last_rev=5))
    frames = [change(4), change(2), change(3), change(5)]
    server.play(says(subscribed(1), caught_up(1), *frames, expects=1))
    assert await revs(live.chat(CHAT, since_rev=1), 4) == [2, 3, 4, 5]
    assert len(server.asked(CHANGES)) == 1


async def test_a_pull_goes_on_while_the_server_is_away(server: Scripted, live: Realtime) -> None:
    server.on(CHANGES, *[problem(503, "unavailable")] * 9, pulled(message(2), last_rev=2))
    server.play(says(subscribed(1), caught_up(1), change(3), expects=1))
    assert await revs(live.chat(CHAT, since_rev=1), 2) == [2, 3]


async def test_a_reader_that_is_too_slow_pulls_what_it_did_not_take(
    server: Scripted, live: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats, "INBOX", 4)
    everything = [message(rev) for rev in range(2, 12)]
    server.on(CHANGES, lambda asked: pulled(*everything[int(asked.query["since_rev"]) - 1 :], last_rev=11))
    done = asyncio.Event()

    async def script(peer: Peer) -> None:
        await says(subscribed(1), *map(change, range(2, 12)), expects=1)(peer)
        await peer.hears("typing")
        done.set()

    server.play(script)
    async with live.chat(CHAT, since_rev=1) as chat:
        await eventually(lambda: server.peers)
        while not done.is_set():  # the connection is read on although nobody reads the chat
            await live.typing(CHAT)
            await asyncio.sleep(0)
        assert len(chat._inbox._frames) <= 4
        assert await revs(chat, 10) == list(range(2, 12))


async def test_who_gives_up_waiting_for_a_change_loses_none(server: Scripted, live: Realtime) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await says(subscribed(1), caught_up(1), expects=1)(peer)
        await go_on.wait()
        await peer.says(change(2))

    server.play(script)
    async with live.chat(CHAT, since_rev=1) as chat:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await soon(anext(chat))
        go_on.set()
        assert await revs(chat, 1) == [2]


@pytest.mark.parametrize("reason", ["removed", "deleted"])
async def test_the_end_of_a_subscription_ends_the_iteration(
    server: Scripted, live: Realtime, reason: str
) -> None:
    ended = {"type": "unsubscribed", "chat_id": CHAT, "reason": reason}
    server.play(says(subscribed(1), caught_up(1), change(2), ended, expects=1))
    chat = live.chat(CHAT, since_rev=1)
    assert [one["rev"] for one in await all_of(chat)] == [2]
    assert chat.ended == reason


async def test_a_chat_that_is_not_there_is_refused(server: Scripted, live: Realtime) -> None:
    server.play(says({"type": "error", "code": "not_found", "detail": "No.", "chat_id": CHAT}))
    with pytest.raises(Refused, match="not_found: No"):
        await soon(anext(live.chat(CHAT)))


async def test_what_cannot_be_followed_just_now_is_followed_later(server: Scripted, live: Realtime) -> None:
    async def away_at_first(peer: Peer) -> None:
        await peer.says(HELLO)
        await peer.hears("subscribe")
        await peer.says({"type": "error", "code": "database_unavailable", "detail": "No.", "chat_id": CHAT})
        assert (await peer.hears("subscribe"))["since_rev"] == 1
        await peer.says(subscribed(1), caught_up(1), change(2))

    server.play(away_at_first)
    assert await revs(live.chat(CHAT, since_rev=1), 1) == [2]


async def test_who_is_removed_before_a_gap_is_pulled_is_told_so(server: Scripted, live: Realtime) -> None:
    server.on(CHANGES, problem(404, "not_found"))
    server.play(says(subscribed(9), {"type": "gap", "chat_id": CHAT, "from_rev": 2, "to_rev": 9}, expects=1))
    chat = live.chat(CHAT, since_rev=1)
    assert await all_of(chat) == []
    assert chat.ended == "removed"


async def test_leaving_a_chat_unsubscribes_and_lets_it_be_followed_again(
    server: Scripted, live: Realtime
) -> None:
    async def script(peer: Peer) -> None:
        await says(subscribed(1), change(2))(peer)
        assert await peer.hears() == {"type": "unsubscribe", "chat_id": CHAT}
        assert (await peer.hears())["since_rev"] == 2
        asked = {"type": "unsubscribed", "chat_id": CHAT, "reason": "asked"}
        await peer.says(asked, subscribed(2), caught_up(2), change(3))

    server.play(script)
    async with live.chat(CHAT) as chat:
        assert await revs(chat, 1) == [2]
        with pytest.raises(ValueError, match="followed"):
            await soon(anext(live.chat(CHAT)))
    assert await all_of(chat) == []
    assert await revs(live.chat(CHAT, since_rev=chat.rev), 1) == [3]


async def test_sorts_of_frames_that_are_newer_than_the_client_are_skipped(
    server: Scripted, live: Realtime
) -> None:
    newer = [{"type": "pinned", "chat_id": CHAT}, {"type": "weather"}, {"type": "weather", "chat_id": "c2"}]
    server.play(says(subscribed(1), *newer, change(2)))
    assert await revs(live.chat(CHAT), 1) == [2]


async def test_cuts_at_any_moment_lose_nothing_and_repeat_nothing(server: Scripted) -> None:
    """Everything at once: connections cut without a word, HTTP's as well, while changes and messages go on."""
    log: list[dict[str, Any]] = []
    written: dict[str, dict[str, Any]] = {}

    def changes(asked: Request) -> Reply:
        page = [one for one in log if one["rev"] > int(asked.query["since_rev"])][:100]
        return pulled(*page, next_rev=page[-1]["rev"] if page and page[-1] is not log[-1] else None)

    async def script(peer: Peer) -> None:
        await peer.says(HELLO)
        position: int | None = None
        while True:
            frame = await peer.hears()
            if frame["type"] == "subscribe":
                position = frame["since_rev"]
                await peer.says(subscribed(len(log)))
                await peer.says(*(change(one["rev"]) for one in log[position:]), caught_up(len(log)))
                position = len(log)
            elif frame["type"] == "send":
                if frame["client_id"] not in written:
                    log.append(message(len(log) + 1))
                    written[frame["client_id"]] = log[-1]
                    if position is not None:
                        await peer.says(change(len(log)))
                sent = {
                    "type": "sent",
                    "client_id": frame["client_id"],
                    "message": written[frame["client_id"]],
                }
                await peer.says(sent)

    server.on(CHANGES, changes)
    server.play(script)
    async with (
        a_gate(server.base) as gate,
        a_parlor(gate.url) as parlor,
        parlor.realtime() as live,
    ):
        chat = live.chat(CHAT, since_rev=0)
        reader = asyncio.create_task(revs(chat, 60))
        sent = []
        for number in range(60):
            if number % 4 == 0:
                gate.cut()
            sent.append(await live.send(CHAT, str(number)))
        assert [one["rev"] for one in sent] == list(range(1, 61))
        assert await soon(reader) == list(range(1, 61))
    assert len(written) == 60
    assert len(server.peers) > 5


async def test_where_a_chat_begins_is_told_with_what_is_pulled(server: Scripted, live: Realtime) -> None:
    """An installation that keeps messages for so long says so in the answer to a gap."""
    server.on(CHANGES, pulled(last_rev=2, first_seq=7))
    gap = {"type": "gap", "chat_id": CHAT, "from_rev": 2, "to_rev": 2}
    server.play(says(subscribed(2), gap, caught_up(2), change(3), expects=1))
    chat = live.chat(CHAT, since_rev=1)
    assert chat.first_seq == 1
    assert await revs(chat, 1) == [3]
    assert chat.first_seq == 7
