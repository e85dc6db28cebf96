"""A turnstile in this process: a lock for each party that somebody is just coming to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parlor.core.shared.errors import Busy
from parlor.core.shared.ids import PartyId

PATIENCE_S = 5.0


class MemoryTurnstile:
    """Port `Turnstile`. It holds nothing for a party that nobody comes to."""

    def __init__(self) -> None:
        self._locks: dict[PartyId, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def __call__(self, party_id: PartyId) -> AsyncIterator[None]:
        """Wait for those who came before."""
        lock, coming = self._locks.get(party_id, (asyncio.Lock(), 0))
        self._locks[party_id] = lock, coming + 1
        try:
            await _acquired(lock)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._leave(party_id)

    def _leave(self, party_id: PartyId) -> None:
        lock, coming = self._locks[party_id]
        if coming == 1:
            del self._locks[party_id]
        else:
            self._locks[party_id] = lock, coming - 1


async def _acquired(lock: asyncio.Lock) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await lock.acquire()
    except TimeoutError as error:
        raise Busy from error
