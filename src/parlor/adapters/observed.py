"""The one wrapper around use cases: a line and a span a call, and another run when the database asks for it."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import ParamSpec, TypeVar

import structlog

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Busy, Contended
from parlor.core.shared.spans import NO_FACTS, SpanKind, Tracer, outcome_of, within_span
from parlor.lines import named, tell

log = structlog.get_logger()

MOST_RUNS = 3

P = ParamSpec("P")
R = TypeVar("R")
Args = tuple[object, ...]

_NOTHING: AbstractContextManager[object] = nullcontext()


def observed(
    name: str, use_case: Callable[P, Awaitable[R]], tracer: Tracer | None = None
) -> Callable[P, Awaitable[R]]:
    """Wrap a use case. What loses three times against others is Busy."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        began, outcome = time.perf_counter(), "ok"
        with _NOTHING if tracer is None else _in_span(tracer, name, args):
            try:
                return await _run(name, use_case, *args, **kwargs)
            except BaseException as error:
                outcome = outcome_of(error)
                raise
            finally:
                _tell(name, args, outcome, began)

    return call


async def _run(name: str, use_case: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
    for run in range(1, MOST_RUNS + 1):
        try:
            return await use_case(*args, **kwargs)
        except Contended as contended:
            log.info("use_case_contended", name=name, run=run, why=str(contended))
    raise Busy


def _in_span(tracer: Tracer, name: str, args: Args) -> AbstractContextManager[object]:
    actor = _actor(args)
    return within_span(
        tracer, name, SpanKind.INTERNAL, facts=NO_FACTS if actor is None else {"parlor.actor": actor}
    )


def _tell(name: str, args: Args, outcome: str, began: float) -> None:
    duration_ms = round((time.perf_counter() - began) * 1000, 2)
    tell(
        {
            "event": "use_case",
            "name": name,
            "actor": _actor(args),
            "outcome": outcome,
            "duration_ms": duration_ms,
        }
    )


def _actor(args: Args) -> str | None:
    """Name who acts, where the use case is told: its first argument, then."""
    first = args[0] if args else None
    actor = getattr(first, "actor", first)
    return named(actor) if isinstance(actor, Actor) else None
