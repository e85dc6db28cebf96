"""The kind `http_request`: what it sends, what it takes for an answer, and what it tries again."""

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

import pytest

from parlor.adapters.payloads import PydanticPayloads
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import Invalid
from parlor.core.shared.handling import Fail, Handler, Retry
from parlor.core.shared.rules import Length, Secret
from parlor.core.shared.tracing import onward, trace_id, well_formed
from parlor.core.tasks.http_request import (
    DestinationBlocked,
    DestinationUnreachable,
    HttpAnswer,
    HttpRequest,
    HttpRequestHandler,
    Outgoing,
    retry_after,
)
from tests.fakes.handling import FakeContext

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(slots=True)
class FakeCaller:
    """Answers the same every time, or raises."""

    answer: HttpAnswer | Exception
    sent: list[Outgoing] = field(default_factory=list)

    async def call(self, outgoing: Outgoing) -> HttpAnswer:
        self.sent.append(outgoing)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def an_answer(status: int = 200, headers: dict[str, str] | None = None) -> HttpAnswer:
    return HttpAnswer(status=status, headers=headers or {}, body="", truncated=False, elapsed_ms=7)


def a_request(url: str = "https://api.example.org/v1", **fields: Any) -> HttpRequest:
    return HttpRequest(url=url, **fields)


def a_handler(
    answer: HttpAnswer | Exception | None = None, clock: Clock = lambda: NOON
) -> HttpRequestHandler:
    return HttpRequestHandler(caller=FakeCaller(answer or an_answer()), clock=clock)


async def sent_for(request: HttpRequest, context: FakeContext | None = None) -> Outgoing:
    caller = FakeCaller(an_answer())
    await HttpRequestHandler(caller=caller, clock=lambda: NOON)(request, context or FakeContext())
    return caller.sent[0]


def test_it_is_a_handler_that_needs_a_permission_of_its_own() -> None:
    handler: Handler[HttpRequest, HttpAnswer] = a_handler()
    assert handler.kind == "http_request"
    assert handler.permission == "tasks:create:http_request"


def test_headers_and_bodies_are_secrets_and_the_rest_is_not() -> None:
    hints = get_type_hints(HttpRequest, include_extras=True)
    secret = {name for name, hint in hints.items() if Secret() in getattr(hint, "__metadata__", ())}
    assert secret == {"headers", "body", "json"}


def test_a_url_has_at_most_2048_characters() -> None:
    assert Length(1, 2048) in get_type_hints(HttpRequest, include_extras=True)["url"].__metadata__


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 404, 409, 422, 499])
async def test_what_another_attempt_would_not_change_succeeds(status: int) -> None:
    assert await a_handler(an_answer(status))(a_request(), FakeContext()) == an_answer(status)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_may_mend_itself_is_tried_again(status: int) -> None:
    with pytest.raises(Retry) as told:
        await a_handler(an_answer(status))(a_request(), FakeContext())
    assert (told.value.code, told.value.after) == ("http_status", None)
    assert str(status) in told.value.message


async def test_retry_after_is_honoured() -> None:
    answer = an_answer(503, {"retry-after": "17"})
    with pytest.raises(Retry) as told:
        await a_handler(answer)(a_request(), FakeContext())
    assert told.value.after == timedelta(seconds=17)


async def test_a_success_with_retry_after_is_a_success() -> None:
    answer = an_answer(202, {"retry-after": "17"})
    assert await a_handler(answer)(a_request(), FakeContext()) == answer


async def test_no_connection_is_tried_again() -> None:
    with pytest.raises(Retry) as told:
        await a_handler(DestinationUnreachable("No answer."))(a_request(), FakeContext())
    assert (told.value.code, told.value.message) == ("http_unreachable", "No answer.")


async def test_a_blocked_destination_fails_for_good() -> None:
    with pytest.raises(Fail) as told:
        await a_handler(DestinationBlocked("Not that one."))(a_request(), FakeContext())
    assert (told.value.code, told.value.message) == ("blocked_destination", "Not that one.")


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("0", None),
        ("1", timedelta(seconds=1)),
        ("3600", timedelta(hours=1)),
        ("3601", timedelta(hours=1)),
        ("999999999", timedelta(hours=1)),
        ("9999999999", None),
        ("-5", None),
        ("1.5", None),
        ("\u0661", None),
        ("soon", None),
        ("", None),
        ("Sun, 01 Mar 2026 12:01:30 GMT", timedelta(seconds=90)),
        ("Sun, 01 Mar 2026 12:01:30 -0000", timedelta(seconds=90)),
        ("Sun, 01 Mar 2026 11:59:59 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(hours=1)),
        ("Sun, 99 Mar 2026 12:01:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_an_hour(value: str | None, wait: timedelta | None) -> None:
    assert retry_after(value, NOON) == wait


async def test_every_attempt_carries_the_task_id_as_its_idempotency_key() -> None:
    sent = await sent_for(a_request(headers={"idempotency-KEY": "mine"}))
    assert sent.headers == {"idempotency-key": str(FakeContext().task_id)}


async def test_the_trace_of_the_task_goes_on_under_a_parent_of_its_own() -> None:
    sent = (await sent_for(a_request(), FakeContext(traceparent=TRACE))).headers["traceparent"]
    assert trace_id(sent) == trace_id(TRACE)
    assert well_formed(sent) not in {None, TRACE}


async def test_a_payload_may_name_another_trace() -> None:
    named = onward(TRACE)
    sent = await sent_for(a_request(headers={"Traceparent": named}), FakeContext(traceparent=TRACE))
    assert sent.headers["traceparent"] == named


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "TRANSFER-ENCODING", "connection", "Upgrade", "Accept-Encoding", "TE"]
)
async def test_a_payload_does_not_override_what_belongs_to_the_connection(name: str) -> None:
    assert name.lower() not in (await sent_for(a_request(headers={name: "x"}))).headers


async def test_the_payloads_own_headers_are_sent() -> None:
    sent = await sent_for(a_request(method="PUT", headers={"Authorization": "Bearer x", "X-A": ""}))
    assert (sent.method, sent.headers["authorization"], sent.headers["x-a"]) == ("PUT", "Bearer x", "")


@pytest.mark.parametrize("value", [{"a": ["\u00e4", "\ud800"]}, [], False, 0, ""])
async def test_json_is_sent_as_json(value: object) -> None:
    sent = await sent_for(a_request(method="POST", json=value))
    assert sent.headers["content-type"] == "application/json"
    assert json.loads(sent.content or b"") == value


async def test_a_body_is_sent_as_utf_8_text() -> None:
    sent = await sent_for(a_request(method="POST", body="gr\u00fcn"))
    assert (sent.content, sent.headers["content-type"]) == (b"gr\xc3\xbcn", "text/plain; charset=utf-8")


async def test_a_content_type_of_ones_own_stays() -> None:
    sent = await sent_for(a_request(method="POST", body="a=b", headers={"Content-Type": "text/x"}))
    assert sent.headers["content-type"] == "text/x"


async def test_without_a_body_nothing_is_sent() -> None:
    sent = await sent_for(a_request())
    assert sent.content is None
    assert "content-type" not in sent.headers


def test_body_and_json_together_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        a_request(body="", json=[])


def test_half_a_character_in_a_body_is_refused() -> None:
    with pytest.raises(ValueError, match="body"):
        a_request(body="\ud800")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "http://example.org:8080/a?b=c#d",
        "HTTPS://[2606:4700::1]/",
        "http://m\u00fcller.de/",
    ],
)
def test_an_absolute_http_url_is_taken(url: str) -> None:
    assert a_request(url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/v1/things",
        "example.org",
        "//example.org/",
        "http:example.org",
        "http:///path",
        "http://user:hunter2@example.org/",
        "http://[::1",
        "http://example.org:port/",
        "http://example.org:99999/",
        "http://example.org:0/",
        "http://example.org\\@127.0.0.1/",
        "http://exam ple.org/",
        "http://example.org/\r\nHost: x",
        "http://example.org/\x00",
        "http://example.org/\ud800",
    ],
)
def test_any_other_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as told:
        a_request(url)
    assert "example" not in str(told.value)
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    "value", ["a\r\nHost: evil", "a\nb", "a\rb", "a\x00b", "a\x1bb", "a\x85b", "a\x7fb", "\ud800"]
)
def test_a_header_value_with_a_control_character_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(ValueError, match="header") as told:
        a_request(headers={"X-Token": value})
    assert value not in str(told.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\n", "a\x00", "\u00e4", "(a)"])
def test_a_header_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        a_request(headers={name: "x"})


@pytest.mark.parametrize("value", ["", "a\tb", "gr\u00fcn", "\U0001f600"])
def test_a_header_value_may_hold_any_printable_text(value: str) -> None:
    assert a_request(headers={"X-A": value}).headers == {"X-A": value}


def test_two_requests_share_no_headers() -> None:
    assert a_request().headers is not a_request().headers
    assert [each.name for each in dataclasses.fields(HttpRequest)] == [
        "url",
        "method",
        "headers",
        "body",
        "json",
    ]


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        ({"url": "http://u:p@example.org/"}, "/payload/url"),
        ({"url": "http://example.org/", "headers": {"a b": "x"}}, "/payload/headers"),
        ({"url": "http://example.org/", "headers": {"a": "x\ny"}}, "/payload/headers"),
        ({"url": "http://example.org/", "body": "x", "json": 1}, "/payload"),
    ],
    ids=["the URL", "a header's name", "a header's value", "two fields together"],
)
def test_what_is_wrong_is_told_at_its_field(payload: dict[str, object], pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        PydanticPayloads([a_handler()]).check("http_request", payload)
    assert [flaw.pointer for flaw in refused.value.flaws] == [pointer]
