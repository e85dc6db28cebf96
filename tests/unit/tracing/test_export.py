"""The collector may be away, slow or silent: it is said once, and nobody waits."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from parlor.adapters.tracing import export
from parlor.adapters.tracing.export import Collector, TellingExporter, Traces
from parlor.core.shared.spans import SpanKind

SOMEWHERE = Collector("http://127.0.0.1:9/v1/traces", {}, "tests", "api", "always_on", 1.0)
AWAY, THERE = SpanExportResult.FAILURE, SpanExportResult.SUCCESS


class Scripted(SpanExporter):
    """Answers what a test says; what is no answer is raised."""

    def __init__(self, *answers: SpanExportResult | Exception) -> None:
        self.answers = list(answers)
        self.spans: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += [span.name for span in spans]
        answer = self.answers.pop(0) if self.answers else THERE
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_collector_that_is_away_is_one_line_and_one_when_it_is_back() -> None:
    exporter = TellingExporter(Scripted(THERE, AWAY, ValueError("a secret"), AWAY, THERE, THERE, AWAY))
    with capture_logs() as lines:
        for _ in range(7):
            exporter.export([])
    assert [line["event"] for line in lines] == [
        "traces_not_exported",
        "traces_exported_again",
        "traces_not_exported",
    ]
    assert "secret" not in str(lines)


async def test_what_is_left_is_sent_at_the_end() -> None:
    kept = Scripted()
    traces = Traces.through(BatchSpanProcessor(kept, schedule_delay_millis=60_000), SOMEWHERE)
    traces.tracer.begin("last", SpanKind.INTERNAL, parent=None).end()
    with capture_logs() as lines:
        await traces.close()
    assert (kept.spans, lines) == (["last"], [])


async def test_a_collector_that_never_answers_delays_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "FLUSH_S", 0.01)
    answered = threading.Event()

    class Silent(Scripted):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            answered.wait()
            return super().export(spans)

    traces = Traces.through(BatchSpanProcessor(Silent(), schedule_delay_millis=60_000), SOMEWHERE)
    traces.tracer.begin("last", SpanKind.INTERNAL, parent=None).end()
    with capture_logs() as lines:
        async with asyncio.timeout(30):  # a failure, not a measure
            await traces.close()
    answered.set()
    assert [line["event"] for line in lines] == ["traces_not_flushed"]


async def test_what_there_is_no_room_for_is_dropped() -> None:
    """The queue is bounded, and who ends a span never waits for room."""
    taken, go = threading.Event(), threading.Event()

    class Slow(Scripted):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            taken.set()
            go.wait()
            return super().export(spans)

    slow = Slow()
    queue = BatchSpanProcessor(slow, max_queue_size=10, max_export_batch_size=1, schedule_delay_millis=60_000)
    traces = Traces.through(queue, SOMEWHERE)
    for number in range(100):
        traces.tracer.begin(f"span {number}", SpanKind.INTERNAL, parent=None).end()
    assert taken.wait(30)
    go.set()
    await traces.close()
    assert 10 <= len(slow.spans) <= 12
