"""Port `Tracer` over OpenTelemetry's SDK."""

from collections.abc import Mapping
from time import time_ns

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span as OtelSpan,
    SpanContext,
    SpanKind as OtelKind,
    StatusCode,
    TraceFlags,
    Tracer as OtelTracer,
    set_span_in_context,
)

from parlor.core.shared.spans import NO_FACTS, Fact, Span, SpanKind

KINDS = {kind: OtelKind[kind.name] for kind in SpanKind}
_NOWHERE = Context()


class SdkSpan:
    """One span; its `traceparent` is written once."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: OtelSpan) -> None:
        said = span.get_span_context()
        self._span = span
        self.traceparent = f"00-{said.trace_id:032x}-{said.span_id:016x}-{said.trace_flags:02x}"

    def note(self, facts: Mapping[str, Fact]) -> None:
        """Add facts."""
        self._span.set_attributes(facts)

    def rename(self, name: str) -> None:
        """Change the name."""
        self._span.update_name(name)

    def end(self, *, error: str | None = None) -> None:
        """End it; its error is a word, without the exception's own text, which may hold anything."""
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class SdkTracer:
    """Begins spans with the SDK; the context that they hang on is ours, so none of its own is kept."""

    def __init__(self, tracer: OtelTracer) -> None:
        self._tracer = tracer

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
        """Begin a span."""
        began_ns = time_ns() - int(ago_s * 1e9) if ago_s else None
        links = () if link is None else (Link(_context(link)),)
        span = self._tracer.start_span(name, _under(parent), KINDS[kind], facts, links, began_ns)
        return SdkSpan(span)


def _under(parent: str | None) -> Context:
    return _NOWHERE if parent is None else set_span_in_context(NonRecordingSpan(_context(parent)), _NOWHERE)


def _context(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
