"""A chat's frames in order, whatever becomes of the hints: lost, late, doubled, from several processes."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from parlor.core.chats import changes
from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.following import Follow, Following
from parlor.core.chats.frames import Frame
from parlor.core.chats.live import Live
from parlor.core.chats.reading import Standing
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import DatabaseAway, NotFound
from parlor.core.shared.ids import ChatId, UserId, uuid7
from tests.builders import an_actor

CHAT = ChatId(uuid7())
ADA, BOB = UserId(uuid7()), UserId(uuid7())
WRITTEN = {"created": ChangeKind.CREATED, "edited": ChangeKind.EDITED}


@dataclass
class HandFeed:
    """Port Feed whose hints arrive when a test lets them: each process has a hand of its own."""

    heard: list[Callable[[bytes], None]] = field(default_factory=list)
    resumed: Callable[[], None] | None = None

    def live(self, channel: str) -> bool:  # noqa: ARG002 - the port's
        return True

    async def publish(
        self,
        channel: str,  # noqa: ARG002 - the port's
        message: bytes,
        *,
        repeatable: bool = False,  # noqa: ARG002 - the port's
    ) -> None:
        for hear in tuple(self.heard):
            hear(message)

    def listen(
        self,
        channel: str,  # noqa: ARG002 - the port's; here is one chat
        heard: Callable[[bytes], None],
        resumed: Callable[[], None] | None = None,
    ) -> Callable[[], None]:
        self.heard.append(heard)
        self.resumed = resumed
        return lambda: self.heard.remove(heard)


@dataclass
class Table:
    """Port ChatLog: one chat, in which each message and member has the rev of its newest change."""

    last_rev: int = 0
    ended: bool = False
    away: bool = False
    rows: dict[object, Change] = field(default_factory=dict)
    members: set[UserId] = field(default_factory=lambda: {ADA, BOB})
    before_answer: Callable[[], Awaitable[object]] | None = None

    def change(self, key: object, kind: ChangeKind, user_id: UserId | None = None) -> Change:
        self.last_rev += 1
        message = b"" if user_id else json.dumps({"key": key, "rev": self.last_rev}).encode()
        change = Change(CHAT, self.last_rev, kind, message=message, user_id=user_id)
        if kind is ChangeKind.ENDED:
            self.ended = True
            self.members.clear()
        else:
            self.rows[user_id or key] = change
        if user_id is not None:
            self.members ^= {user_id}
        return change

    def says(self, key: object = None) -> Change:
        return self.change(key or self.last_rev, ChangeKind.CREATED)

    async def standing(self, viewer: Actor, chat_id: ChatId) -> Standing:  # noqa: ARG002 - one chat
        standing = Standing(self.last_rev, 0)
        if viewer.user_id not in self.members:
            raise NotFound
        await self._answers()
        return standing

    async def last_revs(self, chat_ids: Collection[ChatId]) -> Mapping[ChatId, int]:
        await self._answers()
        return {} if self.ended else dict.fromkeys(chat_ids, self.last_rev)

    async def since(self, chat_id: ChatId, rev: int, *, limit: int) -> Sequence[Change]:
        assert chat_id == CHAT
        found = sorted((row for row in self.rows.values() if row.rev > rev), key=lambda row: row.rev)
        await self._answers()
        return found[:limit]

    async def _answers(self) -> None:
        if self.away:
            raise DatabaseAway
        await asyncio.sleep(0)
        if self.before_answer is not None:
            act, self.before_answer = self.before_answer, None
            await act()


@dataclass
class Ear:
    """Port Listener: keeps what it is told."""

    user_id: UserId = BOB
    frames: list[dict[str, Any]] = field(default_factory=list)
    shown: list[tuple[UserId, bool]] = field(default_factory=list)
    pause: Callable[[], object] | None = None

    def tell(self, frame: Frame) -> None:
        self.frames.append(json.loads(frame.json))

    def show(self, chat_id: ChatId, user_id: UserId, *, online: bool) -> None:
        assert chat_id == CHAT
        self.shown.append((user_id, online))

    async def ready(self) -> None:
        if self.pause is not None:
            self.pause()
        await asyncio.sleep(0)

    @property
    def told(self) -> list[tuple[str, int]]:
        return [(frame["type"], frame["rev"]) for frame in self.frames if "rev" in frame]

    @property
    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.frames]


@dataclass
class Process:
    """One process over the table."""

    table: Table
    feed: HandFeed = field(default_factory=HandFeed)
    live: Live = field(init=False)

    def __post_init__(self) -> None:
        self.live = Live(self.feed, self.table, patience_s=0, compare_s=0)

    async def follows(self, ear: Ear, since_rev: int | None = None) -> Following:
        actor = an_actor(user_id=ear.user_id)
        return await Follow(self.live, self.table)(actor, CHAT, since_rev, ear)

    async def hears(self, *hints: Change) -> None:
        for change in hints:
            await self.feed.publish("", changes.written(change))


async def settled(condition: Callable[[], bool] = lambda: False, *, turns: int = 60) -> None:
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0)


@pytest.fixture
async def one() -> Process:
    process = Process(Table())
    process.live.compare_s = 3600
    return process


async def test_hints_in_any_order_are_told_in_the_order_of_their_revs(one: Process) -> None:
    one.live.patience_s = 3600
    ear = Ear()
    await one.follows(ear)
    first, second, third = [one.table.says() for _ in range(3)]
    await one.hears(third, first, first, second, third)
    assert ear.told == [("message.created", rev) for rev in (1, 2, 3)]


async def test_what_a_lost_hint_would_have_told_is_read_from_the_table(one: Process) -> None:
    ear = Ear()
    await one.follows(ear)
    _lost, told = one.table.says(), one.table.says()
    await one.hears(told)
    assert ear.told == []
    await settled(lambda: len(ear.told) == 2)
    assert ear.told == [("message.created", 1), ("message.created", 2)]


async def test_a_lost_last_hint_is_found_by_comparing(one: Process) -> None:
    ear = Ear()
    one.live.compare_s = 0
    await one.follows(ear)
    one.table.says()
    await settled(lambda: bool(ear.told))
    assert ear.told == [("message.created", 1)]


async def test_a_feed_that_is_back_is_compared_at_once(one: Process) -> None:
    ear = Ear()
    await one.follows(ear)
    one.table.says()
    assert one.feed.resumed is not None
    one.feed.resumed()
    await settled(lambda: bool(ear.told))
    assert ear.told == [("message.created", 1)]


async def test_what_was_changed_again_before_it_could_be_read_is_a_gap(one: Process) -> None:
    ear = Ear()
    await one.follows(ear)
    one.table.says("a")
    edited = one.table.change("a", ChangeKind.EDITED)
    await one.hears(edited)
    await settled(lambda: len(ear.frames) == 3)
    gap = {"type": "gap", "chat_id": str(CHAT), "from_rev": 1, "to_rev": 1}
    assert ear.frames[1] == gap
    assert ear.told == [("message.edited", 2)]


async def test_while_the_database_is_away_nothing_is_told_out_of_order(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parlor.core.chats.live.AGAIN_S", 0)
    ear = Ear()
    await one.follows(ear)
    one.table.says()
    one.table.away = True
    await one.hears(one.table.says())
    await settled()
    assert ear.told == []
    one.table.away = False
    await settled(lambda: len(ear.told) == 2)
    assert [rev for _, rev in ear.told] == [1, 2]


async def test_the_removed_hear_nothing_later_though_its_hint_is_late(one: Process) -> None:
    one.live.patience_s = 3600
    ada, bob = Ear(ADA), Ear(BOB)
    await one.follows(ada)
    await one.follows(bob)
    removal = one.table.change(None, ChangeKind.LEFT, BOB)
    secret = one.table.says()
    await one.hears(secret)
    assert bob.told == []
    await one.hears(removal)
    assert bob.frames[1:] == [{"type": "unsubscribed", "chat_id": str(CHAT), "reason": "removed"}]
    assert ada.told == [("members", 1), ("message.created", 2)]


async def test_who_was_removed_and_taken_in_again_unheard_is_told_of_the_removal(one: Process) -> None:
    bob = Ear(BOB)
    await one.follows(bob)
    one.table.change(None, ChangeKind.LEFT, BOB)
    one.table.says()
    await one.hears(one.table.change(None, ChangeKind.JOINED, BOB))
    await settled(lambda: "unsubscribed" in bob.kinds)
    assert bob.told == []
    assert bob.frames[-1]["reason"] == "removed"


async def test_an_old_departure_does_not_end_who_is_in_the_chat_again(one: Process) -> None:
    one.live.patience_s = 3600
    ada, bob = Ear(ADA), Ear(BOB)
    await one.follows(ada)
    left = one.table.change(None, ChangeKind.LEFT, BOB)
    joined = one.table.change(None, ChangeKind.JOINED, BOB)
    await one.follows(bob, since_rev=0)
    await one.hears(left, joined)
    assert "unsubscribed" not in bob.kinds
    assert bob.told == [("members", 2), ("caught_up", 2)]
    assert ada.told == [("members", 1), ("members", 2)]


@pytest.mark.parametrize("hint", ["in time", "late"])
@pytest.mark.parametrize("where", ["standing", "replay"])
async def test_who_is_removed_while_they_catch_up_hears_nothing_later(
    one: Process, where: str, hint: str
) -> None:
    one.live.patience_s = 3600
    bob, heard = Ear(BOB), list[Change]()
    one.table.says()
    await one.follows(Ear(ADA))

    def removed() -> None:
        bob.pause = None
        heard.extend([one.table.change(None, ChangeKind.LEFT, BOB), one.table.says()])
        if hint == "in time":
            for change in heard:
                one.feed.heard[0](changes.written(change))

    async def removed_meanwhile() -> None:
        removed()

    if where == "standing":
        one.table.before_answer = removed_meanwhile
    else:
        bob.pause = removed
    await one.follows(bob, since_rev=0)
    if hint == "late":
        await one.hears(*heard)
    assert all(rev <= 1 for _, rev in bob.told)
    assert bob.frames[-1] == {"type": "unsubscribed", "chat_id": str(CHAT), "reason": "removed"}


async def test_the_end_of_a_chat_is_told_though_its_hint_is_lost(one: Process) -> None:
    ear = Ear()
    one.live.compare_s = 0
    await one.follows(ear)
    one.table.change(None, ChangeKind.ENDED)
    await settled(lambda: "unsubscribed" in ear.kinds)
    assert ear.frames[-1]["reason"] == "deleted"


async def test_what_happens_during_a_replay_waits_and_is_told_once(one: Process) -> None:
    ear = Ear()
    for _ in range(3):
        one.table.says()

    def meanwhile() -> None:
        if one.table.last_rev < 6:
            one.feed.heard[0](changes.written(one.table.says()))

    ear.pause = meanwhile
    await one.follows(ear, since_rev=1)
    await settled(lambda: len(ear.told) == 6)
    revs = [rev for kind, rev in ear.told if kind != "caught_up"]
    assert revs == list(range(2, one.table.last_rev + 1))


async def test_so_much_during_a_replay_that_it_cannot_wait_is_read_from_the_table(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parlor.core.chats.rooms.MOST_WAITING", 2)
    ear = Ear()
    one.table.says()

    def meanwhile() -> None:
        if one.table.last_rev < 40:
            for _ in range(3):
                one.feed.heard[0](changes.written(one.table.says()))

    ear.pause = meanwhile
    await one.follows(ear, since_rev=0)
    revs = [rev for kind, rev in ear.told if kind != "caught_up"]
    assert revs == list(range(1, one.table.last_rev + 1))


async def test_who_read_the_table_before_the_room_began_misses_nothing_between(one: Process) -> None:
    early, other = Ear(BOB), Ear(ADA)

    async def meanwhile() -> None:
        one.table.says()
        await one.follows(other)

    one.table.before_answer = meanwhile
    await one.follows(early)
    await one.hears(one.table.says())
    assert [rev for _, rev in early.told] == [1, 2]
    assert [rev for _, rev in other.told] == [2]


async def test_a_stranger_leaves_no_trace(one: Process) -> None:
    with pytest.raises(NotFound):
        await one.follows(Ear(UserId(uuid7())))
    assert one.feed.heard == []
    assert one.live._rooms == {}
    assert one.live._keepers == []


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(0, 1)),
        st.tuples(st.just("edit"), st.integers(0, 1)),
        st.tuples(st.just("deliver"), st.integers(0, 5)),
        st.tuples(st.just("double"), st.integers(0, 5)),
        st.tuples(st.just("lose"), st.integers(0, 5)),
        st.tuples(st.just("join"), st.integers(0, 2)),
        st.tuples(st.just("drop"), st.integers(0, 5)),
        st.tuples(st.just("turn"), st.integers(1, 4)),
    ),
    max_size=60,
)


@dataclass
class Reader:
    """A client: what it knows of each message, by the rules that clients are told to follow."""

    process: Process
    rev: int = 0
    ear: Ear = field(default_factory=Ear)
    state: dict[object, int] = field(default_factory=dict)
    following: Following | None = None

    async def connect(self) -> None:
        self.ear = Ear()
        self.following = await self.process.follows(self.ear, self.rev)

    def disconnect(self) -> None:
        assert self.following is not None
        self.read()
        self.following.stop()

    def read(self) -> None:
        """Take the frames; fails where something is missing, doubled or out of order."""
        live = False
        for frame in self.ear.frames:
            match frame:
                case {"type": "caught_up", "rev": rev}:
                    assert rev >= self.rev
                    self.rev, live = rev, True
                case {"type": "gap", "from_rev": first, "to_rev": last}:
                    assert first <= self.rev + 1
                    assert last >= first
                    self.rev = last
                    for key, row in self.process.table.rows.items():  # pulled from /changes
                        self.state[key] = max(row.rev, self.state.get(key, 0))
                case {"type": _, "rev": rev, "message": message}:
                    assert rev == self.rev + 1 if live else rev > self.rev
                    self.rev = rev
                    self.state[message["key"]] = max(rev, self.state.get(message["key"], 0))
                case _:
                    pass
        self.ear.frames.clear()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_every_listener_sees_each_changes_last_state_in_order_whatever_becomes_of_the_hints(
    actions: list[tuple[str, int]],
) -> None:
    asyncio.run(_story(actions))


async def _story(actions: list[tuple[str, int]]) -> None:
    table = Table()
    processes = [Process(table), Process(table)]
    for process in processes:
        process.live.compare_s = 3600
    under_way: list[tuple[Process, Change]] = []
    readers: list[Reader] = []
    for what, number in actions:
        match what:
            case "create" | "edit":
                key = f"m{number}" if what == "edit" else f"n{table.last_rev}"
                known = what == "edit" and key in table.rows
                change = table.change(key, ChangeKind.EDITED if known else ChangeKind.CREATED)
                under_way += [(process, change) for process in processes]
            case "deliver" | "double" if under_way:
                place = number % len(under_way)
                process, change = under_way[place] if what == "double" else under_way.pop(place)
                await process.hears(change)
            case "lose" if under_way:
                under_way.pop(number % len(under_way))
            case "join":
                reader = Reader(processes[number % 2])
                readers.append(reader)
                await reader.connect()
            case "drop" if readers:
                reader = readers[number % len(readers)]
                reader.disconnect()
                reader.process = processes[(processes.index(reader.process) + 1) % 2]
                await reader.connect()
            case _:
                await settled(turns=number)
    for process in processes:
        if process.feed.resumed is not None:
            process.feed.resumed()
    await settled(lambda: all(_up_to_date(reader) for reader in readers), turns=500)
    for reader in readers:
        reader.read()
        assert reader.rev == table.last_rev
        assert reader.state == {key: row.rev for key, row in table.rows.items()}
        reader.disconnect()
    assert all(process.live._rooms == {} for process in processes)


def _up_to_date(reader: Reader) -> bool:
    revs: list[int] = [frame.get("to_rev", frame.get("rev", 0)) for frame in reader.ear.frames]
    return max([reader.rev, *revs]) == reader.process.table.last_rev
