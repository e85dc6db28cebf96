"""Hints to the relays that an outbox has something, over the feed: one in flight at a time, however many writes."""

import asyncio
from collections.abc import Sequence

from parlor.core.chats.changes import Change, tell
from parlor.core.shared.bus import FACTS_DUE, REPLAYS_DUE, TASKS_DUE
from parlor.core.shared.feed import Feed

# Somebody may wait for a task, nobody for an event.
SPACING_S = {TASKS_DUE: 0.005, REPLAYS_DUE: 0.05, FACTS_DUE: 0.05}


class FeedHints:
    """What the SQL adapters call after their commits; never blocks, and may be lost: the relays also poll."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._words: dict[str, set[str]] = {}

    def tasks_due(self, *queues: str) -> None:
        """Tasks wait in these queues, or in any where none is named."""
        self._hint(TASKS_DUE, *queues)

    def replays_due(self) -> None:
        """Dead letters wait to be sent again."""
        self._hint(REPLAYS_DUE)

    def facts_due(self) -> None:
        """Events wait to be published."""
        self._hint(FACTS_DUE)

    async def chats_changed(self, changes: Sequence[Change]) -> None:
        """Send what became of chats, at once and in order: somebody waits for each. Never raises."""
        await tell(self._feed, changes)

    def _hint(self, channel: str, *words: str) -> None:
        self._words.setdefault(channel, set()).update(words or {""})
        if channel not in self._sending:
            self._sending[channel] = asyncio.create_task(self._send(channel))

    async def _send(self, channel: str) -> None:
        """Send at once; what is asked for within the next moment is one more hint, however much it is."""
        try:
            while words := self._words.pop(channel, None):
                await self._feed.publish(channel, b"" if "" in words else ",".join(sorted(words)).encode())
                await asyncio.sleep(SPACING_S[channel])
        finally:
            del self._sending[channel]
