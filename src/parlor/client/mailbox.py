"""What a reader has not taken yet: bounded, and with an end."""

import asyncio
from collections import deque
from typing import Any, Self

Frame = dict[str, Any]


class Closed(Exception):
    """Nothing more will come, and nothing is wrong."""


class Mailbox:
    """Keeps the newest `size` frames for one reader."""

    def __init__(self, size: int) -> None:
        self._frames = deque[Frame](maxlen=size)
        self._changed = asyncio.Event()
        self._end: Exception | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will be put in."""
        return self._end is not None

    @property
    def full(self) -> bool:
        """Whether one more makes it forget its oldest."""
        return len(self._frames) == self._frames.maxlen

    def put(self, frame: Frame) -> None:
        """Add a frame."""
        self._frames.append(frame)
        self._changed.set()

    def put_back(self, frame: Frame) -> None:
        """Make the frame just taken the next one again."""
        self._frames.appendleft(frame)

    def empty(self) -> list[Frame]:
        """Take all of it."""
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def end(self, error: Exception | None = None) -> None:
        """Let the reader take what is there, and then raise: the error, or else Closed."""
        self._end = self._end or error or Closed()
        self._changed.set()

    async def get(self) -> Frame:
        """Wait for the next frame; who gives up waiting loses none."""
        while not self._frames:
            if self._end is not None:
                raise self._end
            self._changed.clear()
            await self._changed.wait()
        return self._frames.popleft()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        try:
            return await self.get()
        except Closed:
            raise StopAsyncIteration from None
