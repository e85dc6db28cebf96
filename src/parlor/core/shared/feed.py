"""The feed: hints between processes that may be lost, because the tables are the truth."""

import asyncio
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

ID_BYTES = 16


class Feed(Protocol):
    """Publish and listen on channels; a hint reaches this process's own listeners too."""

    def live(self, channel: str) -> bool:
        """Whether hints on this channel reach this process right now."""
        ...

    async def publish(self, channel: str, message: bytes, *, repeatable: bool = False) -> None:
        """Send a hint, in at most 0.2 s. Never raises: what it says is found in the tables too.

        A `repeatable` one is heard in this process at once, and perhaps again when it has been everywhere.
        """
        ...

    def listen(
        self, channel: str, heard: Callable[[bytes], None], resumed: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        """Call `heard` with every hint from now on; the answer ends it. Neither call may block.

        `resumed` is called when the channel becomes live: what was published before may have been lost.
        """
        ...


def naming(ids: Iterable[UUID]) -> bytes:
    """Write a hint that names these ids, 16 bytes each."""
    return b"".join(one.bytes for one in ids)


def named_in(message: bytes) -> Sequence[UUID]:
    """Read the ids that a hint names; none where another version has other words."""
    if len(message) % ID_BYTES:
        return ()
    return [UUID(bytes=message[start : start + ID_BYTES]) for start in range(0, len(message), ID_BYTES)]


@dataclass(slots=True)
class Expected:
    """Sets the events of those who expect a hint, whenever one on these channels names their id."""

    feed: Feed
    channels: Sequence[str]
    read: Callable[[bytes], Iterable[UUID]] = named_in
    _events: dict[UUID, set[asyncio.Event]] = field(
        init=False, default_factory=dict[UUID, set[asyncio.Event]]
    )
    _listening: bool = field(init=False, default=False)

    @contextmanager
    def expect(self, *hinted: UUID) -> Generator[asyncio.Event]:
        """Give an event that every hint of one of these ids sets."""
        self._listen()
        event = asyncio.Event()
        awaited = set(hinted)
        for one in awaited:
            self._events.setdefault(one, set()).add(event)
        try:
            yield event
        finally:
            for one in awaited:
                self._forget(one, event)

    def _listen(self) -> None:
        if not self._listening:
            for channel in self.channels:
                self.feed.listen(channel, self._heard)
            self._listening = True

    def _heard(self, message: bytes) -> None:
        for hinted in self.read(message):
            for event in self._events.get(hinted, ()):
                event.set()

    def _forget(self, hinted: UUID, event: asyncio.Event) -> None:
        events = self._events[hinted]
        events.discard(event)
        if not events:
            del self._events[hinted]


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, or so many seconds have passed; answers which."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
