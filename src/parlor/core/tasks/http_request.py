"""The kind `http_request`: call an external HTTP service, as a task."""

import json as json_text
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

from parlor.core.shared.clock import Clock
from parlor.core.shared.handling import Context, Fail, Retry
from parlor.core.shared.ids import TaskId
from parlor.core.shared.rules import Length, Secret, WrongField
from parlor.core.shared.tracing import onward

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

MAX_URL = 2048
MAX_HEADERS = 64
MAX_BODY = 1024 * 1024
LONGEST_WAIT = timedelta(hours=1)
TRY_AGAIN = frozenset({408, 425, 429})
SERVER_ERRORS = 500

# Framing and connection are the caller's, the key is the task's: a payload cannot override them.
OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t -~\u00a0-\ud7ff\ue000-\U0010ffff]*")
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What to call. Give `body` (text) or `json`, not both.

    Host, lengths, connection headers and `Idempotency-Key` are set by Parlor; in `headers` they are ignored.
    """

    url: Annotated[str, Length(1, MAX_URL)]
    method: Method = "GET"
    headers: Annotated[dict[str, str], Length(most=MAX_HEADERS), Secret()] = field(
        default_factory=dict[str, str]
    )
    body: Annotated[str | None, Length(most=MAX_BODY), Secret()] = None
    json: Annotated[object, Secret()] = None

    def __post_init__(self) -> None:
        """Raise ValueError, and WrongField for one of them, never with the value: headers and bodies are secrets."""
        _check_url(self.url)
        for name, value in self.headers.items():
            _check_header(name, value)
        if self.body is not None and self.json is not None:
            raise ValueError("Give body or json, not both.")
        if self.body is not None and _SURROGATE.search(self.body):
            raise WrongField("body", "The body holds half a character.")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: names of headers in lower case, the body as text of at most 64 KiB."""

    status: int
    headers: dict[str, str]
    body: str
    truncated: bool
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request that is ready to be sent: names of headers in lower case, the content as bytes."""

    method: Method
    url: str
    headers: dict[str, str]
    content: bytes | None = None


class DestinationBlocked(Exception):
    """The destination is not one that may be called; nothing was sent to it."""


class DestinationUnreachable(Exception):
    """No whole answer came: no such name, no connection, or it broke off."""


class HttpCaller(Protocol):
    """Sends requests out into the world, never into our own network."""

    async def call(self, outgoing: Outgoing) -> HttpAnswer:
        """Follow up to 5 redirects, each checked like the first destination; answers the last one's response.

        Raises DestinationBlocked, DestinationUnreachable. It may take as long as the other side likes: the
        task's timeout ends it.
        """
        ...


@dataclass(frozen=True, slots=True)
class HttpRequestHandler:
    """Whoever holds `tasks:create:http_request` has a request sent; what may mend itself is tried again."""

    kind: ClassVar[str] = "http_request"
    permission: ClassVar[str | None] = "tasks:create:http_request"

    caller: HttpCaller
    clock: Clock

    async def __call__(self, payload: HttpRequest, context: Context) -> HttpAnswer:
        try:
            answer = await self.caller.call(outgoing(payload, context.task_id, context.traceparent))
        except DestinationBlocked as error:
            raise Fail("blocked_destination", str(error)) from error
        except DestinationUnreachable as error:
            raise Retry("http_unreachable", str(error)) from error
        self._must_be_final(answer)
        return answer

    def _must_be_final(self, answer: HttpAnswer) -> None:
        if answer.status in TRY_AGAIN or answer.status >= SERVER_ERRORS:
            wait = retry_after(answer.headers.get("retry-after"), self.clock())
            raise Retry("http_status", f"The server answered {answer.status}.", after=wait)


def outgoing(request: HttpRequest, task_id: TaskId, traceparent: str | None = None) -> Outgoing:
    """Make the request that is sent: every attempt of a task carries the same idempotency key.

    The task's trace goes along, unless the payload names another one.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers = {name: value for name, value in headers.items() if name not in OURS}
    headers["idempotency-key"] = str(task_id)
    if traceparent is not None:
        headers.setdefault("traceparent", onward(traceparent))
    content, content_type = _content(request)
    if content_type is not None:
        headers.setdefault("content-type", content_type)
    return Outgoing(method=request.method, url=request.url, headers=headers, content=content)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Read a `Retry-After`, seconds or a date; at most an hour, and None for what is past or unreadable."""
    if value is None:
        return None
    wait = timedelta(seconds=int(value)) if _SECONDS.fullmatch(value) else _until(value, now)
    return min(wait, LONGEST_WAIT) if wait is not None and wait > timedelta() else None


def _until(date: str, now: datetime) -> timedelta | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now


def _content(request: HttpRequest) -> tuple[bytes | None, str | None]:
    if request.json is not None:
        return json_text.dumps(request.json).encode(), "application/json"
    if request.body is not None:
        return request.body.encode(), "text/plain; charset=utf-8"
    return None, None


def _check_url(url: str) -> None:
    if _NOT_IN_A_URL.search(url):
        raise WrongField("url", "The URL holds a character that no URL has.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise WrongField("url", "The URL cannot be read.") from None
    if not parts.scheme or port == 0 or (parts.scheme in {"http", "https"} and not parts.hostname):
        raise WrongField("url", "The URL must be an absolute one.")
    if "@" in parts.netloc:
        raise WrongField("url", "Credentials belong into a header, which is kept secret, not into the URL.")


def _check_header(name: str, value: str) -> None:
    if not _HEADER_NAME.fullmatch(name):
        raise WrongField("headers", "A header's name holds a character that no name has.")
    if not _HEADER_VALUE.fullmatch(value):
        raise WrongField("headers", "A header's value holds a line break or another control character.")
