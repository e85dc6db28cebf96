"""How a server leaves: it says so and serves on, until nobody sends it anything; then it finishes what it has."""

import asyncio
import signal
import socket
import time
from types import FrameType

import uvicorn


class LeavingServer(uvicorn.Server):
    """uvicorn, which at SIGTERM would stop to listen at once: whoever had not heard of it yet would be refused.

    From SIGTERM on `leaving` is set: `/readyz` says so, and every answer asks for its connection to be closed. Nothing
    is refused for as long as `unready_s`; SIGINT, or a second SIGTERM, ends that. Idle connections are closed last.
    """

    def __init__(self, config: uvicorn.Config, *, leaving: asyncio.Event, unready_s: float) -> None:
        super().__init__(config)
        self._leaving = leaving
        self._unready_s = unready_s
        self._leaves_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to leave, or end."""
        if sig == signal.SIGTERM and self._leaves_at is None and self._unready_s:
            self._captured_signals.append(sig)
            self._leaves_at = time.monotonic() + self._unready_s
            self._leaving.set()
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """End when the time is over; asked ten times a second."""
        if self._leaves_at is not None and time.monotonic() >= self._leaves_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing more; whoever reads an answer from now on hears that it was the last."""
        self._leaving.set()
        await super().shutdown(sockets)
