"""The one wrapper around use cases: a log line a call, and another run when the database asks for it."""

import time
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import structlog

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Busy, Contended, ParlorError

log = structlog.get_logger()

MOST_RUNS = 3

P = ParamSpec("P")
R = TypeVar("R")


def observed(name: str, use_case: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Wrap a use case. What loses three times against others is Busy."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        began = time.perf_counter()
        outcome = "error"
        try:
            answer = await _run(name, use_case, *args, **kwargs)
        except ParlorError as error:
            outcome = error.code
            raise
        else:
            outcome = "ok"
            return answer
        finally:
            took_ms = round((time.perf_counter() - began) * 1000, 1)
            log.info("use_case", name=name, actor=_actor(args), outcome=outcome, took_ms=took_ms)

    return call


async def _run(name: str, use_case: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
    for run in range(1, MOST_RUNS + 1):
        try:
            return await use_case(*args, **kwargs)
        except Contended as contended:
            log.info("use_case_contended", name=name, run=run, why=str(contended))
    raise Busy


def _actor(args: tuple[object, ...]) -> str | None:
    """Name who acts, where the use case is told: its first argument, then."""
    first = args[0] if args else None
    actor = getattr(first, "actor", first)
    return f"{actor.kind}:{actor.id}" if isinstance(actor, Actor) else None
