"""Spans where a test sees them: kept in the process, or taken in as a collector would."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from parlor.adapters.tracing.export import Collector, Traces
from parlor.core.shared.spans import Tracer

KINDS = ("", "internal", "server", "client", "producer", "consumer")


@dataclass
class Recorder:
    """A tracer whose ended spans can be looked at."""

    sampler: str = "parentbased_always_on"
    kept: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    tracer: Tracer = field(init=False)

    def __post_init__(self) -> None:
        collector = Collector("http://nowhere.invalid", {}, "tests", "tests", self.sampler, 0.0)
        self.tracer = Traces.through(SimpleSpanProcessor(self.kept), collector).tracer

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.kept.get_finished_spans()

    def one(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.spans if span.name == name]
        return span


def ids(span: ReadableSpan) -> tuple[str, str]:
    """Give the trace's id and the span's own."""
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def traceparent(span: ReadableSpan) -> str:
    trace_id, span_id = ids(span)
    assert span.context is not None
    return f"00-{trace_id}-{span_id}-{span.context.trace_flags:02x}"


@dataclass(frozen=True, slots=True)
class Told:
    """A span as a collector reads it."""

    name: str
    kind: str
    trace_id: str
    id: str
    parent: str
    links: tuple[str, ...]
    failed: bool
    facts: dict[str, Any]
    service: dict[str, Any]


@dataclass
class CollectorForTests:
    """Takes OTLP over HTTP, and keeps all of it."""

    port: int = 0
    raw: bytes = b""
    told: list[Told] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str, **facts: Any) -> list[Told]:
        """Find spans by their name and what they say."""
        wanted = {key.replace("__", "."): value for key, value in facts.items()}.items()
        return [one for one in self.told if one.name == name and wanted <= one.facts.items()]

    def trace(self, trace_id: str) -> list[Told]:
        return [one for one in self.told if one.trace_id == trace_id]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                assert head.startswith("post /v1/traces "), head
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                self._take(await reader.readexactly(length))
                body = ExportTraceServiceResponse().SerializeToString()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _take(self, body: bytes) -> None:
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _facts(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.told += [_told(span, service) for span in scope.spans]


@asynccontextmanager
async def a_collector() -> AsyncIterator[CollectorForTests]:
    collector = CollectorForTests()
    server = await asyncio.start_server(collector.answer, "127.0.0.1", 0)
    collector.port = server.sockets[0].getsockname()[1]
    try:
        yield collector
    finally:
        server.close()


def _told(span: Any, service: dict[str, Any]) -> Told:
    return Told(
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple(link.trace_id.hex() for link in span.links),
        failed=span.status.code == 2,
        facts=_facts(span.attributes),
        service=service,
    )


def _facts(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
