"""Spans on their way to the collector: in batches, by a thread, and never in anybody's way."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from uuid import uuid4

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)

from parlor.adapters.tracing.spans import SdkTracer

FLUSH_S = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Collector:
    """Where spans are sent, and as whose."""

    endpoint: str
    headers: Mapping[str, str]
    service: str
    role: str
    sampler: str
    ratio: float


class Traces:
    """The spans of a process: at most `OTEL_BSP_MAX_QUEUE_SIZE` of them wait (2,048), then new ones are dropped."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self.tracer = SdkTracer(provider.get_tracer("parlor", version("parlor")))

    @classmethod
    def to(cls, collector: Collector) -> "Traces":
        """Send them there: every 5 s, or as soon as 512 have gathered."""
        exporter = TellingExporter(
            OTLPSpanExporter(endpoint=collector.endpoint, headers=dict(collector.headers))
        )
        return cls.through(BatchSpanProcessor(exporter), collector)

    @classmethod
    def through(cls, spans: SpanProcessor, collector: Collector) -> "Traces":
        """Hand each ended span to this."""
        provider = TracerProvider(
            sampler=sampler_of(collector.sampler, collector.ratio),
            resource=Resource.create(
                {
                    "service.name": collector.service,
                    "service.version": version("parlor"),
                    "service.instance.id": str(uuid4()),
                    "parlor.role": collector.role,
                }
            ),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(spans)
        return cls(provider)

    async def close(self) -> None:
        """Send what is left, for 5 s at most: a collector that is away delays no shutdown for longer."""
        ended, loop = asyncio.Event(), asyncio.get_running_loop()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # nobody has waited for so long: the loop is closed
                loop.call_soon_threadsafe(ended.set)

        # A thread that no exit waits for: the SDK's own bound is 30 s.
        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_S):
                await ended.wait()
        except TimeoutError:
            log.warning("traces_not_flushed")


class TellingExporter(SpanExporter):
    """Says in one line when the collector is away, and in another when it is back; in between nothing."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch. Never raises."""
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever it is, the spans are lost and nothing else is
            result = SpanExportResult.FAILURE
        away = result is not SpanExportResult.SUCCESS
        if away and not self._away:
            log.warning("traces_not_exported", spans=len(spans))
        if self._away and not away:
            log.info("traces_exported_again")
        self._away = away
        return result

    def shutdown(self) -> None:
        """Try no more."""
        self._exporter.shutdown()


def sampler_of(name: str, ratio: float) -> Sampler:
    """Make the sampler that `OTEL_TRACES_SAMPLER` names, as OpenTelemetry's specification does."""
    samplers: dict[str, Sampler] = {
        "always_on": ALWAYS_ON,
        "always_off": ALWAYS_OFF,
        "traceidratio": TraceIdRatioBased(ratio),
        "parentbased_always_on": DEFAULT_ON,
        "parentbased_always_off": DEFAULT_OFF,
        "parentbased_traceidratio": ParentBasedTraceIdRatio(ratio),
    }
    return samplers[name]
