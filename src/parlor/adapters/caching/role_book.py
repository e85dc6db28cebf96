"""What each role permits, kept in this process for a second."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from functools import partial

from parlor.core.identity.roles import RoleBook

KEPT_FOR_S = 1.0
RENEWED_AFTER_S = 0.5

Book = Mapping[str, frozenset[str]]


class CachedRoleBook:
    """Port RoleBook, in front of another: one copy, at most 1 s old, counted from before it was read.

    Where it is in use it is read again in its second half of a second, so that nobody waits for that. As long as
    nothing changes it is the same object, so that what was made of it can be told by it.
    """

    def __init__(self, book: RoleBook, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rows = book
        self._monotonic = monotonic
        self._book: Book = {}
        self._until = -math.inf
        self._reading: asyncio.Task[Book] | None = None

    def present(self) -> Book | None:
        """Answer the copy while it counts."""
        left = self._until - self._monotonic()
        if left <= 0:
            return None
        if left <= KEPT_FOR_S - RENEWED_AFTER_S and self._reading is None:
            self._begin()
        return self._book

    async def read(self) -> Book:
        """Answer the copy, or read; who asks meanwhile waits for the same reading."""
        present = self.present()
        if present is not None:
            return present
        # Shielded: one who goes away must not end the reading for the others.
        return await asyncio.shield(self._reading or self._begin())

    def forget(self) -> None:
        """Drop the copy; what is being read right now is not kept either."""
        self._until = -math.inf
        self._reading = None

    def _begin(self) -> asyncio.Task[Book]:
        until = self._monotonic() + KEPT_FOR_S
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(partial(self._done, until))
        return self._reading

    async def _read(self) -> Book:
        book = await self._rows.read()
        return self._book if book == self._book else book

    def _done(self, until: float, reading: asyncio.Task[Book]) -> None:
        failed = reading.cancelled() or reading.exception()
        if self._reading is not reading:
            return  # roles changed since it began: what it read may be the past
        self._reading = None
        if not failed:
            self._book, self._until = reading.result(), until
