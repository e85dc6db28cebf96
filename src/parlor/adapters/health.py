"""What a process opens, closes and asks about its parts."""

import asyncio
from collections.abc import Awaitable, Callable

from parlor.core.shared.health import Part

Step = Callable[[], Awaitable[None]]

CHECK_S = 2.0


async def nothing() -> None:
    """Do what there is to do where a mode has nothing to open, close or ask."""


def step(call: Callable[[], None]) -> Step:
    """Make a step of a call that needs no waiting."""

    async def called() -> None:
        call()

    return called


async def asked(*, needed: bool, check: Step) -> Part:
    """Ask one part; what does not answer well within 2 s is down."""
    try:
        async with asyncio.timeout(CHECK_S):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a part is its state
        return Part(status="down", needed=needed, detail=str(error) or type(error).__name__)
    return Part(status="up", needed=needed)
