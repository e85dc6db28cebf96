"""Whatever happens to the frames of a chat, its reader sees each change's final state, in ascending order."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, settings, strategies as st

from parlor.client import Backoff, LiveChat, Unreachable, chats
from parlor.client.mailbox import Frame
from parlor.client.rest import Rest
from tests.faults.score import rounds
from tests.waiting import PATIENCE_S

LAST = "the last one"
WHAT_HAPPENS = st.one_of(
    st.tuples(st.just("changes"), st.integers(0, 20)),  # a message: its number, so some change again
    st.tuples(st.just("joins"), st.just(0)),
    st.tuples(st.just("sends"), st.integers(1, 6)),
    st.tuples(st.just("repeats"), st.integers(0, 9)),
    st.tuples(st.just("delays"), st.integers(0, 3)),
    st.tuples(st.just("loses"), st.integers(0, 3)),
    st.tuples(st.just("overflows"), st.just(0)),
    st.tuples(st.just("cuts"), st.just(0)),
    st.tuples(st.just("stalls"), st.integers(0, 4)),  # the reader, for so many steps
    st.tuples(st.just("hides"), st.integers(1, 2)),
)


@dataclass
class Server:
    """A chat, and one connection to it that goes wrong as it is told; it is `Rest` and `Line` as well."""

    log: list[Frame] = field(default_factory=list)
    queue: deque[Frame] = field(default_factory=deque)  # not sent yet
    sent: list[Frame] = field(default_factory=list)  # live ones, on this connection
    late: list[Frame] = field(default_factory=list)
    hidden: int = 0
    begin: int | None = None  # the reader's first position
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=0, most_s=0))

    @property
    def rest(self) -> Rest:
        return cast("Rest", self)

    async def get(self, path: str, *, since_rev: int, limit: int) -> Any:
        """Be `/changes`, with small pages."""
        assert path == "/chats/c1/changes"
        size = min(limit, 2)
        await asyncio.sleep(0)
        if self.hidden:
            self.hidden -= 1
            raise Unreachable
        newest = [one for one in self._newest(since_rev) if one["type"] == "message.created"]
        items = [one["message"] for one in newest[:size]]
        next_rev = items[-1]["rev"] if len(newest) > size else None
        page = {"items": items, "next_rev": next_rev, "last_rev": len(self.log)}
        await asyncio.sleep(0)
        return page

    async def subscribe(self, chat: LiveChat) -> None:
        self.connect(chat)

    async def unsubscribe(self, chat: LiveChat) -> None:
        """Nothing to do."""

    def connect(self, chat: LiveChat) -> None:
        """Replay what changed since, as on a new connection."""
        asked, last = chat.subscription(), len(self.log)
        self.sent.clear()
        self.late.clear()
        self.queue = deque([{"type": "subscribed", "last_rev": last}])
        if "since_rev" in asked:
            self.queue.extend(self._newest(asked["since_rev"]))
            self.queue.append({"type": "caught_up", "rev": last})

    def happens(self, what: str, number: int, chat: LiveChat) -> None:
        match what:
            case "changes":
                self.change(f"m{number}")
            case "joins":
                self._append({"type": "members", "rev": len(self.log) + 1, "user_id": "u1"})
            case "sends":
                self.send(number, chat)
            case "repeats" if number < len(self.sent):
                chat.arrive(self.sent[number])
            case "delays" | "loses" if number < len(self.queue) and "live" in self.queue[number]:
                frame = self.queue[number]
                del self.queue[number]
                if what == "delays":
                    self.late.append(frame)
            case "overflows":
                self._overflow()
            case "cuts":
                self.connect(chat)
            case "hides":
                self.hidden = number
            case _:
                pass

    def change(self, message_id: str) -> None:
        rev = len(self.log) + 1
        message = {"id": message_id, "chat_id": "c1", "rev": rev, "edited_at": None, "deleted_at": None}
        self._append({"type": "message.created", "rev": rev, "message": message})

    def send(self, number: int, chat: LiveChat) -> None:
        """Send some; then what was held back before."""
        late, self.late = self.late, []
        for _ in range(min(number, len(self.queue))):
            frame = self.queue.popleft()
            if "live" in frame:
                self.sent.append(frame)
            chat.arrive(frame)
            self.begin = chat.rev if self.begin is None else self.begin
        for frame in late:
            chat.arrive(frame)

    def _append(self, frame: Frame) -> None:
        self.log.append(frame)
        self.queue.append({**frame, "live": True})

    def _newest(self, since_rev: int) -> Iterator[Frame]:
        """Give each message once, under its newest rev; and whatever is no message."""
        newest = {one["message"]["id"]: one["rev"] for one in self.log if "message" in one}
        for one in self.log[since_rev:]:
            if "message" not in one or newest[one["message"]["id"]] == one["rev"]:
                yield one

    def _overflow(self) -> None:
        """Drop the queue, as for a slow reader, and say so."""
        revs = [one["rev"] for one in self.queue if "rev" in one]
        if revs:
            first = min([revs[0], *(one["rev"] for one in self.late)])
            self.queue = deque([{"type": "gap", "from_rev": first, "to_rev": max(revs)}])


async def play(
    events: list[tuple[str, int]], since_rev: int | None, before: int
) -> tuple[Server, list[Frame]]:
    """Let all of it happen while somebody reads; then let the rest come through."""
    server = Server()
    for number in range(before):
        server.change(f"m{number}")
    chat = LiveChat(server, "c1", since_rev)
    seen: list[Frame] = []

    async def read() -> None:
        async for change in chat:
            seen.append(change)
            if change.get("message", {}).get("id") == LAST:
                return

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    stalled = 0
    for what, number in events:
        server.happens(what, number, chat)
        stalled = number if what == "stalls" else stalled - 1
        for _ in range(5 if stalled < 1 else 0):
            await asyncio.sleep(0)
    server.connect(chat)
    server.change(LAST)
    while not reader.done():
        server.send(1, chat)
        await asyncio.sleep(0)
    await reader
    return server, seen


@settings(max_examples=100 * rounds(4), deadline=None, database=None)
@given(
    events=st.lists(WHAT_HAPPENS, min_size=20, max_size=60), from_now=st.booleans(), before=st.integers(0, 9)
)
def test_each_change_is_seen_in_its_final_state_and_in_order(
    events: list[tuple[str, int]], *, from_now: bool, before: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chats, "INBOX", 4)
        server, seen = asyncio.run(
            asyncio.wait_for(play(events, None if from_now else 0, before), PATIENCE_S)
        )
    revs = [one["rev"] for one in seen]
    assert revs == sorted(set(revs))
    final = {one["message"]["id"]: one["message"] for one in server.log if "message" in one}
    told = {one["message"]["id"]: one["message"] for one in seen if "message" in one}
    begin = server.begin if from_now else 0
    assert begin is not None
    assert told == {name: one for name, one in final.items() if one["rev"] > begin}
