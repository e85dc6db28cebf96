"""The log lines that each request, use case and attempt has one of: being hot, they pass structlog's chain by."""

from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

import orjson
import structlog

from parlor.core.shared.actor import ActorKind
from parlor.core.shared.tracing import current_trace, trace_id

INFO, DEBUG = 20, 10

# The request that the present work belongs to: its id stands in every line.
present_request: Final[ContextVar[str | None]] = ContextVar("parlor.request_id", default=None)

Write = Callable[[bytes], object]


class Named(Protocol):
    """An actor, or whoever asked for a task."""

    @property
    def kind(self) -> ActorKind: ...
    @property
    def id(self) -> UUID | None: ...


class _Lane:
    """Where finished lines go, and from which level on; without one they take structlog's way."""

    write: Write | None = None
    least: int = INFO


def takes_finished_lines(write: Write | None, *, least: int = INFO) -> None:
    """Have lines of this level and above written here, each as a line of JSON; None sends them through structlog."""
    _Lane.write, _Lane.least = write, least


def tell(line: dict[str, object], *, level: int = INFO) -> None:
    """Log a line whose fields are all in `line`, its name as `event`: ids, numbers and words, never what was sent.

    Request, trace, level and time are added. The dict is the callee's from now on.
    """
    write = _Lane.write
    if write is None:
        _through_structlog(_with_ids(line), level)
    elif level >= _Lane.least:
        _with_ids(line)
        line["level"] = "info" if level == INFO else "debug"
        line["timestamp"] = datetime.now(UTC)
        write(orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))


def named(actor: Named) -> str:
    """Name who acts."""
    return f"{actor.kind}:{actor.id}"


def _with_ids(line: dict[str, object]) -> dict[str, object]:
    request_id, traceparent = present_request.get(), current_trace()
    if request_id is not None:
        line["request_id"] = request_id
    if traceparent is not None:
        line["trace_id"] = trace_id(traceparent)
    return line


def _through_structlog(line: dict[str, object], level: int) -> None:
    event = line.pop("event")
    structlog.get_logger().log(level, event, **line)
