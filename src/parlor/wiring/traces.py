"""Traces: exported where a collector is set, and nothing of it loaded where none is."""

from urllib.parse import unquote

from parlor.adapters.health import nothing
from parlor.adapters.tracing.bus import TracedBus
from parlor.adapters.tracing.calls import TracedCaller, TracedGenerator, TracedMail
from parlor.config import BadSettings, Settings
from parlor.core.games.ports import CardGenerator
from parlor.core.identity.mailing import Mail
from parlor.core.shared.bus import MessageBus
from parlor.core.shared.spans import Tracer
from parlor.core.tasks.http_request import HttpCaller
from parlor.wiring.assembly import Assembly
from parlor.wiring.modes import Mode, Role


def wire_traces(parts: Assembly, settings: Settings, role: Role) -> None:
    """Begin spans from now on, if somebody is there to be sent them; the last ones go when all else is closed."""
    endpoint = settings.traces_endpoint
    if endpoint is None:
        return
    from parlor.adapters.tracing.export import Collector, Traces  # noqa: PLC0415 - who exports nothing loads no SDK

    collector = Collector(
        endpoint=endpoint,
        headers=_headers(settings),
        service=settings.otel_service_name,
        role=role,
        sampler=settings.otel_sampler,
        ratio=settings.otel_ratio,
    )
    traces = Traces.to(collector)
    parts.tracer = traces.tracer
    parts.opens(nothing, traces.close)


def traced_bus(parts: Assembly, settings: Settings, mode: Mode, bus: MessageBus) -> MessageBus:
    """Give each message a span."""
    if parts.tracer is None:
        return bus
    return TracedBus(bus, parts.tracer, system=mode.broker, namespace=settings.namespace)


def traced_caller(caller: HttpCaller, tracer: Tracer | None) -> HttpCaller:
    """Give each call a span."""
    return caller if tracer is None else TracedCaller(caller, tracer)


def traced_generator(generator: CardGenerator, url: str, tracer: Tracer | None) -> CardGenerator:
    """Give each card a span."""
    return generator if tracer is None else TracedGenerator(generator, url, tracer)


def traced_mail(mail: Mail, tracer: Tracer | None) -> Mail:
    """Give each mail a span."""
    return mail if tracer is None else TracedMail(mail, tracer)


def _headers(settings: Settings) -> dict[str, str]:
    """Read `name=value,name=value`, each value percent-encoded, as W3C Baggage is."""
    text = settings.otel_headers.get_secret_value() if settings.otel_headers else ""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if not all(name.strip() and sign for name, sign, _ in pairs):
        raise BadSettings("OTEL_EXPORTER_OTLP_HEADERS must read name=value,name=value")
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}
