"""What happens in chats, while it happens: one `Live` a process follows those that somebody listens to.

The feed brings hints, the tables are the truth. A hint that is not the next one waits 50 ms for those before it, then
the missing rows are read; what a lost last hint would have told is found within 2 s, or as soon as the feed is back.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from parlor.core.chats import changes
from parlor.core.chats.changes import Change, ChangeKind, UnknownChange, channel_of
from parlor.core.chats.presence import Attendance, announcement, new_source
from parlor.core.chats.reading import ChatLog
from parlor.core.chats.rooms import Listener, Room, Subscription
from parlor.core.shared.errors import Contended, Unavailable
from parlor.core.shared.feed import Feed, set_within
from parlor.core.shared.ids import ChatId, UserId

PATIENCE_S = 0.05
COMPARE_S = 2.0
AGAIN_S = 0.5
ATTEND_S = 1.0
PAGE = 500


@dataclass(slots=True)
class Live:
    """The rooms of this process, kept in order as long as anybody is in one of them."""

    feed: Feed
    log: ChatLog
    patience_s: float = PATIENCE_S
    compare_s: float = COMPARE_S
    _rooms: dict[ChatId, Room] = field(init=False, default_factory=dict[ChatId, Room])
    _mending: dict[ChatId, asyncio.Task[None]] = field(
        init=False, default_factory=dict[ChatId, asyncio.Task[None]]
    )
    _unheard: set[ChatId] = field(init=False, default_factory=set[ChatId])
    _look: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _source: bytes = field(init=False, default_factory=new_source)
    _keepers: list[asyncio.Task[None]] = field(init=False, default_factory=list[asyncio.Task[None]])

    def enter(self, chat_id: ChatId, listener: Listener) -> tuple[Room, Subscription]:
        """Let somebody into a chat's room; whether they may be there is for the caller to find out."""
        room = self._rooms.get(chat_id)
        if room is None:
            room = self._rooms[chat_id] = self._opened(chat_id)
        return room, room.enter(listener)

    def leave(self, room: Room, subscription: Subscription) -> None:
        """Let somebody out; the last one closes the room."""
        room.subscriptions.discard(subscription)
        if not room.subscriptions and self._rooms.get(room.chat_id) is room:
            self._close(room)

    async def say(self, change: Change) -> None:
        """Tell everybody who listens to a chat, in all processes, what is stored nowhere."""
        await changes.tell(self.feed, [change])

    def _opened(self, chat_id: ChatId) -> Room:
        room = Room(chat_id, Attendance(self._source))
        room.stop = self.feed.listen(
            channel_of(chat_id), lambda hint: self._heard(room, hint), lambda: self._compare_soon(chat_id)
        )
        if not self._keepers:
            self._keepers = [asyncio.create_task(self._compare()), asyncio.create_task(self._attend())]
        return room

    def _close(self, room: Room) -> None:
        room.stop()
        del self._rooms[room.chat_id]
        self._unheard.discard(room.chat_id)
        mending = self._mending.pop(room.chat_id, None)
        if mending is not None:
            mending.cancel()
        if not self._rooms:
            for keeper in self._keepers:
                keeper.cancel()
            self._keepers = []

    def _heard(self, room: Room, hint: bytes) -> None:
        try:
            change = changes.read(room.chat_id, hint)
        except UnknownChange:  # another release's: the table knows what it was
            self._compare_soon(room.chat_id)
            return
        if change.kind is ChangeKind.PRESENT:
            room.attendance.hear(change.message, _now())
        else:
            room.hear(change)
            self._mend_where_incomplete(room)

    def _mend_where_incomplete(self, room: Room) -> None:
        if room.incomplete and room.chat_id not in self._mending:
            self._mending[room.chat_id] = asyncio.create_task(self._mend(room))

    async def _mend(self, room: Room) -> None:
        try:
            while room.order is not None and room.incomplete:
                awaited = room.order.known
                await asyncio.sleep(self.patience_s)
                if room.order.rev < awaited:
                    await self._read_missing(room)
        finally:
            if self._mending.get(room.chat_id) is asyncio.current_task():
                del self._mending[room.chat_id]

    async def _read_missing(self, room: Room) -> None:
        assert room.order is not None
        known = room.order.known
        try:
            rows = await self.log.since(room.chat_id, room.order.rev, limit=PAGE)
        except (Unavailable, Contended):
            await asyncio.sleep(AGAIN_S)
            return
        last = rows[-1].rev if rows else 0
        room.expel_who_came_back(rows)
        room.give(room.order.mend(rows, last if len(rows) == PAGE else max(known, last)))

    def _compare_soon(self, chat_id: ChatId) -> None:
        self._unheard.add(chat_id)
        self._look.set()

    async def _compare(self) -> None:
        while True:
            at_once = await set_within(self._look, self.compare_s)
            self._look.clear()
            asked = list(self._unheard if at_once else self._rooms)
            self._unheard.clear()
            with suppress(Unavailable, Contended):  # the next one finds what this one would have found
                self._learn(asked, await self.log.last_revs(asked))

    def _learn(self, asked: Collection[ChatId], last_revs: Mapping[ChatId, int]) -> None:
        for chat_id in asked:
            room = self._rooms.get(chat_id)
            if room is None or room.order is None:
                continue
            if chat_id in last_revs:
                room.learn(last_revs[chat_id])
                self._mend_where_incomplete(room)
            else:
                room.end()

    async def _attend(self) -> None:
        while True:
            await asyncio.sleep(ATTEND_S)
            for room in tuple(self._rooms.values()):
                if all(subscription.ended for subscription in room.subscriptions):
                    self._close(room)
                    continue
                here = _present(room)
                if room.attendance.due(here, _now()):
                    await self.say(announcement(room.chat_id, self._source, here))
                room.show(room.attendance.changed(_now()))


def _present(room: Room) -> set[UserId]:
    return {one.listener.user_id for one in room.subscriptions if one.follows}


def _now() -> float:
    return asyncio.get_running_loop().time()
