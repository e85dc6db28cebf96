"""Waiting for what has no event to wait for."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")

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


async def soon(awaited: Awaitable[Answer]) -> Answer:
    """Give what it gives; fail where that takes too long."""
    async with asyncio.timeout(PATIENCE_S):
        return await awaited


async def all_of(many: AsyncIterable[Answer]) -> list[Answer]:
    """Take what comes until it ends; fail where that takes too long."""
    async with asyncio.timeout(PATIENCE_S):
        return [one async for one in many]


async def _answer(answer: object) -> object:
    return await answer if inspect.isawaitable(answer) else answer
