"""How late the event loop is: what everybody in the process waits for who blocks it."""

import asyncio

from parlor.core.shared.meters import Meters

EVERY_S = 0.25


class EventLoopLag:
    """Sleeps a quarter of a second again and again, and counts how much longer that took."""

    def __init__(self, meters: Meters) -> None:
        self._late = meters.timing(
            "parlor_event_loop_lag_seconds",
            "How late a timer of the event loop was, tried four times a second.",
        ).of()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """End."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def _watch(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            due = now() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self._late.see(max(0.0, now() - due))
