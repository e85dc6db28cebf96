"""One answer for everybody who looks at the same thing within a moment."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT_FOR_S = 2.0


class Kept(Generic[T]):
    """A reading whose answer counts for 2 s from when it began; who asks meanwhile waits for the same one."""

    def __init__(
        self, read: Callable[[], Awaitable[T]], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._reading: asyncio.Task[T] | None = None
        self._until = -math.inf

    async def __call__(self) -> T:
        """Answer what is kept, or read. What fails is told to all who wait for it, and not kept."""
        reading = self._reading
        if reading is None or (reading.done() and not self._counts(reading)):
            self._until = self._monotonic() + KEPT_FOR_S
            reading = self._reading = asyncio.create_task(self._begin())
        # Shielded: one who goes away must not end the reading for the others.
        return await asyncio.shield(reading)

    def _counts(self, reading: asyncio.Task[T]) -> bool:
        failed = reading.cancelled() or reading.exception() is not None
        return not failed and self._monotonic() < self._until

    async def _begin(self) -> T:
        return await self._read()
