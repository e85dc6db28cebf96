"""What is told of each attempt: one line in the log, and one span where traces are exported."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from parlor.core.shared.bus import Delivery
from parlor.core.shared.spans import Fact, Span, SpanKind, Tracer, within_span
from parlor.core.shared.tracing import enter_trace, leave_trace, well_formed
from parlor.core.tasks.foreign import ForeignOrder
from parlor.core.tasks.model import Attempt, Ending, Failed, Postponed
from parlor.entrypoints.consume_worker.cloud_events import text_of
from parlor.lines import named, tell

SUCCEEDED, FAILED, POSTPONED = "succeeded", "failed", "postponed"
LET_GO = "let_go"  # cancelled, given back at a shutdown, or its lease was lost


@dataclass(slots=True)
class Told:
    """An attempt while it runs, and how it ended as soon as that is known."""

    attempt: Attempt
    outcome: str = LET_GO
    code: str | None = None

    def ends(self, ending: Ending) -> Ending:
        """Remember how it ended."""
        self.outcome, self.code = _words(ending)
        return ending


@dataclass(frozen=True, slots=True)
class Attempts:
    """Watches attempts; `tasks` is the exchange that their messages come through, at this broker."""

    tracer: Tracer | None = None
    tasks: str = "parlor.tasks"
    broker: str = "rabbitmq"

    def parent(self, attempt: Attempt, delivery: Delivery | None) -> str | None:
        """Find what an attempt follows from: the message that said it is due, or else its task."""
        said = None if delivery is None or self.tracer is None else delivery.headers.get("traceparent")
        return well_formed(text_of(said)) or attempt.traceparent

    def received(self, said: ForeignOrder) -> ForeignOrder:
        """Begin a trace for an order whose producer began none."""
        if self.tracer is None or said.order.traceparent is not None:
            return said
        facts = self._facts("receive", said.order.priority, str(said.id))
        with within_span(
            self.tracer, f"receive {self.tasks}", SpanKind.CONSUMER, root=True, facts=facts
        ) as span:
            return replace(said, order=replace(said.order, traceparent=span.traceparent))

    @contextmanager
    def told(self, attempt: Attempt, parent: str | None) -> Generator[Told]:
        """Tell of an attempt once it has ended, however it did."""
        began = time.perf_counter()
        span = None if self.tracer is None else self._begin(self.tracer, attempt, parent)
        told = Told(attempt if span is None else replace(attempt, traceparent=span.traceparent))
        entered = enter_trace(told.attempt.traceparent)
        try:
            yield told
        finally:
            _tell(told, began)
            leave_trace(entered)
            if span is not None:
                span.note({"parlor.outcome": told.outcome})
                span.end(error=told.code)

    def _begin(self, tracer: Tracer, attempt: Attempt, parent: str | None) -> Span:
        facts = self._facts("process", attempt.priority, str(attempt.task_id))
        facts |= {"parlor.task.kind": attempt.kind, "parlor.task.attempt": attempt.attempt}
        return tracer.begin(f"process {attempt.kind}", SpanKind.CONSUMER, parent=parent, facts=facts)

    def _facts(self, operation: str, queue: str, message_id: str) -> dict[str, Fact]:
        return {
            "messaging.system": self.broker,
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.destination.name": f"{self.tasks}.{queue}",
            "messaging.message.id": message_id,
        }


def _tell(told: Told, began: float) -> None:
    attempt = told.attempt
    line: dict[str, object] = {
        "event": "attempt",
        "task_id": str(attempt.task_id),
        "kind": attempt.kind,
        "attempt": attempt.attempt,
        "actor": named(attempt.requested_by),
        "outcome": told.outcome,
        "duration_ms": round((time.perf_counter() - began) * 1000, 2),
    }
    if told.code is not None:
        line["code"] = told.code
    tell(line)


def _words(ending: Ending) -> tuple[str, str | None]:
    match ending:
        case Failed(error=error):
            return FAILED, error.code
        case Postponed(error=error):
            return POSTPONED, error.code
        case _:
            return SUCCEEDED, None
