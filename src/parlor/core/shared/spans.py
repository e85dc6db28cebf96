"""Pieces of work in a trace: the port that begins them, for a process that exports traces."""

from asyncio import CancelledError
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, Protocol

from parlor.core.shared.errors import ParlorError, Unavailable
from parlor.core.shared.tracing import current_trace, within_trace

Fact = str | int | float | bool
NO_FACTS: Final[Mapping[str, Fact]] = MappingProxyType({})


class SpanKind(Enum):
    """Which side of a call a span is, in OpenTelemetry's words."""

    SERVER = auto()
    INTERNAL = auto()
    PRODUCER = auto()
    CONSUMER = auto()
    CLIENT = auto()


class Span(Protocol):
    """A piece of work in a trace. It is told to nobody before its end."""

    @property
    def traceparent(self) -> str:
        """What is handed to whatever follows from it."""
        ...

    def note(self, facts: Mapping[str, Fact]) -> None:
        """Add facts under OpenTelemetry's names, or ours (`parlor.…`): ids, numbers, words, never what was sent."""
        ...

    def rename(self, name: str) -> None:
        """Call it so from now on; names are few."""
        ...

    def end(self, *, error: str | None = None) -> None:
        """End it, once; `error` is a stable word for what went wrong."""
        ...


class Tracer(Protocol):
    """Begins spans. A process that exports no traces has none."""

    def begin(
        self,
        name: str,
        kind: SpanKind,
        *,
        parent: str | None,
        link: str | None = None,
        facts: Mapping[str, Fact] = NO_FACTS,
        ago_s: float = 0,
    ) -> Span:
        """Begin a span, now or so many seconds ago, under a `traceparent` or as a trace of its own.

        `link` names one that it is related to. Whether it is recorded is the parent's word, else the sampler's; either
        way it has a `traceparent`.
        """
        ...


@contextmanager
def within_span(
    tracer: Tracer,
    name: str,
    kind: SpanKind,
    *,
    root: bool = False,
    link: str | None = None,
    facts: Mapping[str, Fact] = NO_FACTS,
) -> Generator[Span]:
    """Do everything inside in a span under the present one, or in a trace of its own.

    It is told how that ended. A refusal is an outcome and no failure.
    """
    span = tracer.begin(name, kind, parent=None if root else current_trace(), link=link, facts=facts)
    outcome, failure = "ok", None
    try:
        with within_trace(span.traceparent):
            yield span
    except BaseException as error:
        outcome, failure = outcome_of(error), _failure(error)
        raise
    finally:
        span.note({"parlor.outcome": outcome})
        span.end(error=failure)


def outcome_of(error: BaseException) -> str:
    """Answer the word for how something ended that raised this: the error's code where it has one."""
    if isinstance(error, ParlorError):
        return error.code
    return "cancelled" if isinstance(error, CancelledError) else "error"


def _failure(error: BaseException) -> str | None:
    if isinstance(error, ParlorError):
        return error.code if isinstance(error, Unavailable) else None
    return None if isinstance(error, CancelledError) else type(error).__name__
