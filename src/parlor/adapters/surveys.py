"""Asking, for the meters, what only others can tell: not often, not for long, and never in anybody's way."""

import asyncio
import math
import time
from collections.abc import Callable

import structlog

from parlor.core.shared.meters import Meters, Survey

log = structlog.get_logger()

KEPT_S = 5.0
ASK_S = 1.0

Asking = asyncio.Task[None]


class Surveys:
    """Asks each of the book's surveys once in 5 s at most, and waits 1 s for the answers.

    Who has not answered well by then counts as down, and nothing of what they would tell is shown: no number is better
    than an old one.
    """

    def __init__(self, meters: Meters, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._meters = meters
        self._monotonic = monotonic
        self._until = -math.inf
        self._asking: dict[int, Asking] = {}
        self._up = meters.level(
            "parlor_up_part", "Whether a part answers within 1 s: 1, or 0 where it is away.", "part"
        )

    async def fresh(self) -> None:
        """Bring the levels up to date. Never raises; takes 1 s at most."""
        self._begin()
        waiting = [asking for asking in self._asking.values() if not asking.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=ASK_S)
        answered = [(survey.part, self._has_answered(survey)) for survey in self._meters.surveys]
        self._up.show(
            {(part,): float(all(ok for one, ok in answered if one == part)) for part, _ in answered}
        )

    async def close(self) -> None:
        """Ask nobody any more."""
        for asking in self._asking.values():
            asking.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _begin(self) -> None:
        if self._monotonic() < self._until:
            return
        self._until = self._monotonic() + KEPT_S
        for survey in self._meters.surveys:
            earlier = self._asking.get(id(survey))
            if earlier is None or earlier.done():  # else it hangs in its end: one of them is enough
                self._asking[id(survey)] = asyncio.create_task(_asked(survey))

    def _has_answered(self, survey: Survey) -> bool:
        asking = self._asking[id(survey)]
        if asking.done() and not asking.cancelled() and asking.exception() is None:
            return True
        asking.cancel()
        for level in survey.levels:
            level.show({})
        return False


async def _asked(survey: Survey) -> None:
    try:
        await survey.ask()
    except Exception as error:
        log.info("survey_unanswered", part=survey.part, error=type(error).__name__)
        raise
