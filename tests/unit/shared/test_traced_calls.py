"""What leaves the process, each with a span: messages, calls, cards, mails, statements."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from asyncpg.connection import LoggedQuery

from parlor.adapters.http.generator import HttpCardGenerator
from parlor.adapters.tracing.bus import TracedBus
from parlor.adapters.tracing.calls import TracedCaller, TracedGenerator, TracedMail
from parlor.adapters.tracing.statements import TracedStatements
from parlor.core.identity.mailing import MailUnreachable
from parlor.core.identity.mails import Message
from parlor.core.shared.bus import DueTask, Fact, MessageBus, Receipt
from parlor.core.shared.ids import EventId, TaskId
from parlor.core.shared.spans import SpanKind, within_span
from parlor.core.shared.tracing import onward, within_trace
from parlor.core.tasks.http_request import DestinationUnreachable, HttpAnswer, Outgoing
from tests.traces import Recorder, ids, parent, traceparent

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-11111111111111111111111111111111-b7ad6b7169203331-01"


@dataclass
class Answers:
    """A bus that answers what a test says, and keeps what it was given."""

    receipts: Sequence[Receipt]
    sent: list[Any] = field(default_factory=list)

    async def send(self, messages: Sequence[object]) -> Sequence[Receipt]:
        self.sent += messages
        return self.receipts

    send_tasks = send_facts = send


def a_bus(recorder: Recorder, *receipts: Receipt) -> tuple[TracedBus, Answers]:
    bus = Answers(receipts)
    traced = TracedBus(cast("MessageBus", bus), recorder.tracer, system="rabbitmq", namespace="party")
    return traced, bus


async def test_each_message_takes_the_trace_of_its_own_row_along() -> None:
    recorder = Recorder()
    bus, under = a_bus(recorder, Receipt.TAKEN, Receipt.TAKEN)
    due = [DueTask(TaskId(UUID(int=number)), "high", trace) for number, trace in ((1, TRACE), (2, None))]
    assert await bus.send_tasks(due) == (Receipt.TAKEN, Receipt.TAKEN)
    first, second = recorder.spans
    assert [sent.traceparent for sent in under.sent] == [traceparent(first), traceparent(second)]
    assert (parent(first), second.parent) == ("b7ad6b7169203331", None)
    assert (first.name, first.kind.name) == ("send party.tasks:high", "PRODUCER")
    assert dict(first.attributes or {}) == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "party.tasks:high",
        "messaging.message.id": str(UUID(int=1)),
    }


async def test_a_message_that_waits_is_told_of_when_it_is_sent() -> None:
    """A broker that is away makes no spans, however often it is tried; one that refuses does."""
    recorder = Recorder()
    bus, _ = a_bus(recorder, Receipt.WAITS, Receipt.REFUSED)
    fact = Fact(EventId(UUID(int=1)), "parties.joined", 1, UUID(int=2), 1, datetime.now(UTC), {"a": 1}, TRACE)
    await bus.send_facts([fact, fact])
    (refused,) = recorder.spans
    assert refused.name == "send party.events:parties.joined"
    assert (refused.attributes or {})["error.type"] == "refused"


@dataclass
class Called:
    """Somebody who is called, or is not there."""

    answer: HttpAnswer | None
    got: list[Outgoing] = field(default_factory=list)

    async def call(self, outgoing: Outgoing) -> HttpAnswer:
        self.got.append(outgoing)
        if self.answer is None:
            raise DestinationUnreachable("nobody")
        return self.answer


def an_answer(status: int) -> HttpAnswer:
    return HttpAnswer(status, {}, "secret", truncated=False, elapsed_ms=1)


async def call(recorder: Recorder, called: Called, header: str | None) -> str | None:
    headers = {} if header is None else {"traceparent": header}
    with within_trace(TRACE):
        url = "https://api.example.org/secret?token=secret"
        await TracedCaller(called, recorder.tracer).call(Outgoing("POST", url, headers, b"secret"))
    return called.got[0].headers.get("traceparent")


async def test_a_call_takes_its_own_span_along_and_tells_the_host_alone() -> None:
    recorder, called = Recorder(), Called(an_answer(200))
    sent = await call(recorder, called, onward(TRACE))
    span = recorder.one("POST")
    assert (sent, parent(span)) == (traceparent(span), "b7ad6b7169203331")
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "url.scheme": "https",
        "server.address": "api.example.org",
        "server.port": 443,
        "http.response.status_code": 200,
        "parlor.outcome": "ok",
    }


@pytest.mark.parametrize("header", [OTHER, "not a trace", None])
async def test_a_trace_that_the_payload_names_is_left_as_it_is(header: str | None) -> None:
    assert await call(Recorder(), Called(an_answer(503)), header) == header


async def test_a_call_that_finds_nobody_says_so() -> None:
    recorder = Recorder()
    with pytest.raises(DestinationUnreachable):
        await call(recorder, Called(None), None)
    assert (recorder.one("POST").attributes or {})["error.type"] == "DestinationUnreachable"


async def test_a_card_is_asked_for_within_its_span() -> None:
    recorder, asked = Recorder(), list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b'{"text": "Sing."}'))

    url = "http://cards.example:8080/draw"
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        plain = HttpCardGenerator(url, client)
        await plain.draw("dare", language="en", rating="family")
        await TracedGenerator(plain, url, recorder.tracer).draw("dare", language="en", rating="family")
    span = recorder.one("POST")
    assert [request.headers.get("traceparent") for request in asked] == [None, traceparent(span)]
    assert (span.attributes or {})["server.port"] == 8080


class NobodyTakesMail:
    async def send(self, message: Message) -> None:
        raise MailUnreachable(f"not to {message.to}")


async def test_a_mail_is_told_of_without_its_address() -> None:
    recorder = Recorder()
    with pytest.raises(MailUnreachable):
        await TracedMail(NobodyTakesMail(), recorder.tracer).send(Message("ada@example.org", "Hi", "secret"))
    assert dict(recorder.one("send mail").attributes or {}) == {
        "parlor.outcome": "error",
        "error.type": "MailUnreachable",
    }


def a_statement(query: str, error: BaseException | None = None) -> LoggedQuery:
    return LoggedQuery(query, ("a secret",), None, 0.002, error, ("localhost", 5432), cast("Any", None))


def test_a_statement_is_told_of_without_its_values() -> None:
    recorder = Recorder()
    told = TracedStatements(recorder.tracer)
    told(a_statement("select 1"))  # a poll, that nobody waits for
    with within_trace(TRACE):
        told(a_statement("\nupdate users\n   set display_name = $1", ValueError("a secret")))
    (span,) = recorder.spans
    assert (span.name, parent(span), ids(span)[0]) == ("update", TRACE[36:52], TRACE[3:35])
    assert dict(span.attributes or {}) == {
        "db.system.name": "postgresql",
        "db.operation.name": "update",
        "db.query.text": "update users\n   set display_name = $1",
        "error.type": "ValueError",
    }


def test_what_is_never_ended_is_never_told() -> None:
    recorder = Recorder()
    recorder.tracer.begin("round", SpanKind.INTERNAL, parent=None)
    with within_span(recorder.tracer, "other", SpanKind.INTERNAL):
        pass
    assert [span.name for span in recorder.spans] == ["other"]
