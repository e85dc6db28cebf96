"""The one wrapper around use cases: line, count and span a call, and another run when the database asks for it."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import ParamSpec, TypeVar

import structlog

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Busy, Contended
from parlor.core.shared.meters import Count, Meters
from parlor.core.shared.spans import NO_FACTS, SpanKind, Tracer, outcome_of, within_span
from parlor.lines import named, tell

log = structlog.get_logger()

MOST_RUNS = 3

P = ParamSpec("P")
R = TypeVar("R")
Args = tuple[object, ...]

_NOTHING: AbstractContextManager[object] = nullcontext()


class UseCaseMeter:
    """What is counted about one use case."""

    def __init__(self, meters: Meters, name: str) -> None:
        self._name = name
        self._outcomes = meters.tally(
            "parlor_use_cases_total",
            "Use cases by how they ended: ok, or an error's code.",
            "use_case",
            "outcome",
        )
        duration = meters.timing("parlor_use_case_duration_seconds", "How long use cases take.", "use_case")
        reruns = meters.tally(
            "parlor_use_case_reruns_total", "Runs that lost against another transaction.", "use_case"
        )
        self._duration = duration.of(name)
        self.reruns = reruns.of(name)

    def ended(self, outcome: str, seconds: float) -> None:
        """Count a call."""
        self._outcomes.of(self._name, outcome).n += 1
        self._duration.see(seconds)


def observed(
    name: str,
    use_case: Callable[P, Awaitable[R]],
    meters: Meters | None = None,
    tracer: Tracer | None = None,
) -> Callable[P, Awaitable[R]]:
    """Wrap a use case. What loses three times against others is Busy."""
    meter = UseCaseMeter(meters or Meters(), name)

    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        began, outcome = time.perf_counter(), "ok"
        with _NOTHING if tracer is None else _in_span(tracer, name, args):
            try:
                return await _run(name, meter.reruns, use_case, *args, **kwargs)
            except BaseException as error:
                outcome = outcome_of(error)
                raise
            finally:
                took_s = time.perf_counter() - began
                meter.ended(outcome, took_s)
                _tell(name, args, outcome, took_s)

    return call


async def _run(
    name: str, reruns: Count, use_case: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
) -> R:
    for run in range(1, MOST_RUNS + 1):
        try:
            return await use_case(*args, **kwargs)
        except Contended as contended:
            reruns.n += 1
            log.info("use_case_contended", name=name, run=run, why=str(contended))
    raise Busy


def _in_span(tracer: Tracer, name: str, args: Args) -> AbstractContextManager[object]:
    actor = _actor(args)
    return within_span(
        tracer, name, SpanKind.INTERNAL, facts=NO_FACTS if actor is None else {"parlor.actor": actor}
    )


def _tell(name: str, args: Args, outcome: str, took_s: float) -> None:
    tell(
        {
            "event": "use_case",
            "name": name,
            "actor": _actor(args),
            "outcome": outcome,
            "duration_ms": round(took_s * 1000, 2),
        }
    )


def _actor(args: Args) -> str | None:
    """Name who acts, where the use case is told: its first argument, then."""
    first = args[0] if args else None
    actor = getattr(first, "actor", first)
    return named(actor) if isinstance(actor, Actor) else None
