"""Keeping something alive: it is begun again after every end, with growing pauses while it fails."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0

log = structlog.get_logger()


async def keep(alive: Callable[[], Awaitable[None]], *, what: str) -> None:
    """Run it for ever. It returns when what it held was lost, and raises when it could not get it."""
    failures = 0
    while True:
        try:
            await alive()
            failures = 0
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            failures += 1  # the library cancels what waits for a connection that it closes
        except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may succeed
            failures += 1
            log.warning(
                "rabbitmq_retry", what=what, error=type(error).__name__, detail=str(error), failures=failures
            )
        heed_cancellation()
        await asyncio.sleep(pause(failures))


def is_cancelled() -> bool:
    """Tell a cancellation of the running task from one that the library raised in it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def heed_cancellation() -> None:
    """End a task whose cancellation was swallowed, as `wait_for` does when an answer comes just then."""
    if is_cancelled():
        raise asyncio.CancelledError


def pause(failures: int) -> float:
    """How long to wait before the next attempt: jittered, so that workers do not all come back at once."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter needs no cryptography


async def end(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait for its end."""
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


async def first(*ends: asyncio.Future[Any]) -> BaseException | None:
    """Wait for the first of them, and for no other; answers what it ended with."""
    heed_cancellation()
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in ends:
            each.cancel()
    causes = [each.exception() for each in done if not each.cancelled()]
    return next(iter(causes), None)
