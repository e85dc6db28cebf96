"""Calls to others, each with a span: HTTP requests, cards and mails. Of an address only the host is told."""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from parlor.core.games.model import Rating, Side
from parlor.core.games.ports import CardGenerator
from parlor.core.identity.mailing import Mail
from parlor.core.identity.mails import Message
from parlor.core.shared.spans import Fact, SpanKind, Tracer, within_span
from parlor.core.shared.tracing import current_trace, trace_id, well_formed
from parlor.core.tasks.http_request import HttpAnswer, HttpCaller, Outgoing

FIRST_ERROR = 400


@dataclass(frozen=True, slots=True)
class TracedCaller:
    """Port `HttpCaller`. The trace that goes along is the span's, unless the payload names another one."""

    caller: HttpCaller
    tracer: Tracer

    async def call(self, outgoing: Outgoing) -> HttpAnswer:
        given, present = well_formed(outgoing.headers.get("traceparent")), current_trace()
        is_ours = given is not None and present is not None and trace_id(given) == trace_id(present)
        with within_span(
            self.tracer, outgoing.method, SpanKind.CLIENT, facts=_where(outgoing.method, outgoing.url)
        ) as span:
            if is_ours:
                headers = {**outgoing.headers, "traceparent": span.traceparent}
                outgoing = replace(outgoing, headers=headers)
            answer = await self.caller.call(outgoing)
            span.note({"http.response.status_code": answer.status})
            if answer.status >= FIRST_ERROR:
                span.note({"error.type": str(answer.status)})
            return answer


@dataclass(frozen=True, slots=True)
class TracedGenerator:
    """Port `CardGenerator`."""

    generator: CardGenerator
    url: str
    tracer: Tracer

    async def draw(self, side: Side, *, language: str, rating: Rating) -> str:
        with within_span(self.tracer, "POST", SpanKind.CLIENT, facts=_where("POST", self.url)):
            return await self.generator.draw(side, language=language, rating=rating)


@dataclass(frozen=True, slots=True)
class TracedMail:
    """Port `Mail`. Neither the address nor what the mail is about is told."""

    mail: Mail
    tracer: Tracer

    async def send(self, message: Message) -> None:
        with within_span(self.tracer, "send mail", SpanKind.CLIENT):
            await self.mail.send(message)


def _where(method: str, url: str) -> dict[str, Fact]:
    parts = urlsplit(url)
    facts: dict[str, Fact] = {"http.request.method": method, "url.scheme": parts.scheme}
    if parts.hostname is not None:
        facts["server.address"] = parts.hostname
        facts["server.port"] = parts.port or (443 if parts.scheme == "https" else 80)
    return facts
