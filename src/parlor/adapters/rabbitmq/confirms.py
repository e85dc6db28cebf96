"""What the broker has still to answer for, on one channel that publishes."""

import asyncio
from collections.abc import Sequence
from itertools import takewhile
from typing import Protocol

from parlor.adapters.rabbitmq.properties import Properties


class Sent(Protocol):
    """What matters here of a message: the id that the broker gives back with one that no queue takes."""

    @property
    def message_id(self) -> str: ...

    @property
    def mandatory(self) -> bool: ...


class Batch:
    """Messages that were published together, and what became of each: None while nobody knows."""

    def __init__(self, size: int) -> None:
        self.outcomes: list[bool | None] = [None] * size
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing = size

    def settle(self, place: int, *, good: bool) -> None:
        """Note the first answer for a message: one that was returned is confirmed all the same."""
        if self.outcomes[place] is None:
            self.outcomes[place] = good
            self._missing -= 1
            if not self._missing and not self.done.done():
                self.done.set_result(None)


class Confirms:
    """Counts a channel's messages as the broker does, from 1."""

    def __init__(self) -> None:
        self._sent = 0
        self._open: dict[int, tuple[Batch, int, str | None]] = {}
        self._by_id: dict[str, int] = {}

    def expect(self, batch: Batch, messages: Sequence[Sent]) -> None:
        """Note what has been sent just now."""
        for place, message in enumerate(messages):
            self._sent += 1
            message_id = message.message_id if message.mandatory else None
            self._open[self._sent] = (batch, place, message_id)
            if message_id is not None:
                self._by_id[message_id] = self._sent

    def settled(self, tag: int, *, multiple: bool, good: bool) -> None:
        """Hear the broker's answer for one message, or for all up to it."""
        for each in list(takewhile(lambda one: one <= tag, self._open)) if multiple else (tag,):
            if each in self._open:
                batch, place, message_id = self._open.pop(each)
                batch.settle(place, good=good)
                if message_id is not None and self._by_id.get(message_id) == each:
                    del self._by_id[message_id]

    def returned(self, properties: bytes) -> None:
        """Hear that no queue takes a message; its confirmation follows."""
        tag = self._by_id.get(Properties.parse(properties).text("message_id") or "")
        if tag is not None:
            batch, place, _ = self._open[tag]
            batch.settle(place, good=False)

    def give_up(self) -> None:
        """Count what is open as not published: the channel is gone."""
        while self._open:
            _, (batch, place, _) = self._open.popitem()
            batch.settle(place, good=False)
        self._by_id.clear()
