"""Waiting for what has no event to wait for."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

PATIENCE_S = 30.0
POLL_S = 0.01


async def eventually(
    condition: Callable[[], object | Awaitable[object]], *, within: float = PATIENCE_S
) -> None:
    """Poll until the condition, or what it answers when awaited, is true; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not await _answer(condition()):
        assert time.monotonic() < deadline, f"not so within {within:g} s"
        await asyncio.sleep(POLL_S)


async def _answer(answer: object) -> object:
    return await answer if inspect.isawaitable(answer) else answer
