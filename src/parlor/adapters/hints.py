"""Hints to the relays that an outbox has something, over the feed: one in flight at a time, however many writes."""

import asyncio

from parlor.core.shared.bus import FACTS_DUE, TASKS_DUE
from parlor.core.shared.feed import Feed

# Somebody may wait for a task, nobody for an event.
SPACING_S = {TASKS_DUE: 0.005, FACTS_DUE: 0.05}


class FeedHints:
    """What the SQL adapters call after their commits; never blocks, and may be lost: the relays also poll."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()

    def tasks_due(self) -> None:
        """Tasks wait to be published."""
        self._hint(TASKS_DUE)

    def facts_due(self) -> None:
        """Events wait to be published."""
        self._hint(FACTS_DUE)

    def _hint(self, channel: str) -> None:
        if channel in self._sending:
            self._again.add(channel)
        else:
            self._sending[channel] = asyncio.create_task(self._send(channel))

    async def _send(self, channel: str) -> None:
        """Send at once; what is asked for within the next moment is one more hint, however much it is."""
        spacing_s = SPACING_S[channel]
        try:
            await self._feed.publish(channel, b"")
            await asyncio.sleep(spacing_s)
            while channel in self._again:
                self._again.discard(channel)
                await self._feed.publish(channel, b"")
                await asyncio.sleep(spacing_s)
        finally:
            del self._sending[channel]
