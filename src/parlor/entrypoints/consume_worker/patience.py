"""Waiting for a server that is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from parlor.core.shared.errors import Contended, Unavailable

log = structlog.get_logger()

FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 2.0

AnswerT = TypeVar("AnswerT")


async def patiently(call: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """Call until the other side is back: nothing at hand is dropped while a server is away."""
    wait = FIRST_WAIT_S
    while True:
        try:
            return await call()
        except (Unavailable, Contended) as error:
            log.warning("waiting_for_a_server", error=type(error).__name__, wait_s=wait)
            await asyncio.sleep(wait)
            wait = min(LONGEST_WAIT_S, wait * 2)
