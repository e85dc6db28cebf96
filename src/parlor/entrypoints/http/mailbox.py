"""What waits for one reader: bounded, so that a slow one costs a known amount and delays nobody."""

import asyncio
from collections import deque
from collections.abc import Callable

from parlor.core.chats.frames import Frame, Gap, told
from parlor.core.shared.ids import ChatId

MOST_FRAMES = 256
MOST_BYTES = 1024 * 1024
STUCK_S = 10.0


def _kept(_: bytes) -> bool:
    """Write nothing at once: all of it is for `next`."""
    return False


class Mailbox:
    """Frames on their way to a reader. When it is full, what happened in each chat becomes one gap, which still grows.

    Answers are kept: whoever puts them here has waited for `ready`. What only passes is dropped. Where nothing waits,
    `written` may write a frame at once and say so: to wake whoever asks for the next one costs more than the writing.
    """

    def __init__(self, written: Callable[[bytes], bool] = _kept) -> None:
        self._written = written
        self._queue = deque[Frame | ChatId]()
        self._gaps: dict[ChatId, tuple[int, int]] = {}
        self._bytes = 0
        self._in_hand: Frame | None = None
        self._full_since: float | None = None
        self._moved = asyncio.Event()
        self._overflown = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def put(self, frame: Frame) -> None:
        """Take a frame; never waits."""
        if self._in_hand is None and not self._queue and self._written(frame.json):
            return
        if frame.chat_id in self._gaps and frame.changes:
            self._widen(frame.chat_id, frame)
        elif not self._full or not (frame.changes or frame.passes):
            self._append(frame)
        else:
            self._collapse()
            if frame.changes:
                self._append_as_gap(frame)
        self._moved.set()

    async def ready(self) -> None:
        """Wait until the reader has taken half of it."""
        while not self._room.is_set():  # whoever was woken first may have filled it again
            await self._room.wait()

    async def next(self) -> bytes:
        """Give the next one, once there is one: to be called when the one before has been taken."""
        self._in_hand = None
        while not self._queue:
            self._full_since = None
            self._overflown.clear()
            self._moved.clear()
            await self._moved.wait()
        first = self._queue.popleft()
        if isinstance(first, Frame):
            self._count(-len(first.json))
            self._in_hand = first
        else:
            self._in_hand = self._gap_of(first)
        return self._in_hand.json

    async def stuck(self) -> None:
        """Return when its reader has not caught up for 10 s since it was full."""
        now = asyncio.get_running_loop().time
        while True:
            await self._overflown.wait()
            since = self._full_since
            if since is None:
                continue
            if (left := since + STUCK_S - now()) <= 0:
                return
            await asyncio.sleep(left)

    def gaps(self) -> list[bytes]:
        """Give, in place of everything that was not taken, what its reader must at least be told."""
        if self._in_hand is not None:
            self._queue.appendleft(self._in_hand)
        self._collapse()
        return [self._gap_of(chat_id).json for chat_id in tuple(self._gaps)]

    @property
    def _full(self) -> bool:
        return len(self._queue) >= MOST_FRAMES or self._bytes >= MOST_BYTES

    def _append(self, frame: Frame) -> None:
        self._queue.append(frame)
        self._count(len(frame.json))

    def _count(self, size: int) -> None:
        self._bytes += size
        if len(self._queue) >= MOST_FRAMES // 2 or self._bytes >= MOST_BYTES // 2:
            self._room.clear()
        else:
            self._room.set()

    def _collapse(self) -> None:
        if self._full_since is None:
            self._full_since = asyncio.get_running_loop().time()
            self._overflown.set()
        frames, self._queue, self._bytes = self._queue, deque(), 0
        for frame in frames:
            if not isinstance(frame, Frame):
                self._queue.append(frame)
            elif frame.changes:
                self._append_as_gap(frame)
            elif not frame.passes:
                self._append(frame)
        self._count(0)

    def _append_as_gap(self, frame: Frame) -> None:
        assert frame.chat_id is not None
        if frame.chat_id not in self._gaps:
            self._queue.append(frame.chat_id)
        self._widen(frame.chat_id, frame)

    def _widen(self, chat_id: ChatId, frame: Frame) -> None:
        first, last = self._gaps.get(chat_id, (frame.from_rev, frame.to_rev))
        self._gaps[chat_id] = (min(first, frame.from_rev), max(last, frame.to_rev))

    def _gap_of(self, chat_id: ChatId) -> Frame:
        first, last = self._gaps.pop(chat_id)
        self._count(0)
        return told(Gap(chat_id, first, last))
