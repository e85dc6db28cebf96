"""Log lines: JSON for machines, colours in a terminal. Ids and numbers, never bodies, passwords or tokens."""

import json
import logging
import signal
import sys
import threading
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, BinaryIO, cast

import orjson
import structlog
from structlog.tracebacks import ExceptionDictTransformer

from parlor.core.shared.tracing import current_trace, trace_id
from parlor.entrypoints.log_stream import LogStream, LogText
from parlor.lines import present_request, takes_finished_lines

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
CONSOLE = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
QUIET = ("httpx", "httpcore", "aio_pika", "aiormq", "alembic", "uvicorn.access", "urllib3")
SILENT = ("opentelemetry",)  # that the collector is away is told in a line of ours
# JSON may have them as they are, but they end a line for whoever splits text as Unicode says.
LINE_ENDS = {end.encode(): b"\\u%04x" % ord(end) for end in "\x85\u2028\u2029"}


def configure(level: str) -> None:
    """Set up structlog, and send what libraries say through the same pipe; theirs begins at warnings."""
    terminal = sys.stderr.isatty()
    # Who has put something else in stderr's place has it written as it comes.
    stream = _the_stream() if not terminal and sys.stderr is sys.__stderr__ else None
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        with_request,
        with_trace,
        structlog.processors.add_log_level,
    ]
    in_text = structlog.processors.TimeStamper(fmt="iso", utc=True)
    structlog.configure(
        processors=[*shared, in_text if terminal else with_time, *_rendering(terminal=terminal)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if terminal
        else structlog.BytesLoggerFactory(sys.stderr.buffer if stream is None else cast("BinaryIO", stream)),
        cache_logger_on_first_use=True,
    )
    takes_finished_lines(None if stream is None else stream.write, least=LEVELS[level])
    _take_in_libraries([*shared, in_text], stream, terminal=terminal)


@cache
def _the_stream() -> LogStream:
    """Make the process's one."""
    stream = LogStream(sys.stderr.fileno())
    stream.start()
    _speak_before_the_end(stream)
    return stream


def _speak_before_the_end(stream: LogStream) -> None:
    """Write what is left when a signal ends the process at once, as uvicorn lets it once everything is closed."""

    def end(number: int, _: object) -> None:
        stream.close()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)


def with_request(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the id of the request that the line is written in, as one of structlog's steps."""
    request_id = present_request.get()
    if request_id is not None:
        line["request_id"] = request_id
    return line


def with_trace(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the id of the trace that the line is written in, as one of structlog's steps."""
    traceparent = current_trace()
    if traceparent is not None:
        line["trace_id"] = trace_id(traceparent)
    return line


def with_time(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the time, as one of structlog's steps; what writes the line as JSON writes it too, at a tenth of the cost."""
    line["timestamp"] = datetime.now(UTC)
    return line


def _rendering(*, terminal: bool) -> list[Any]:
    if terminal:
        return [CONSOLE]
    return [
        # Without locals: they hold tokens, passwords and bodies.
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        structlog.processors.JSONRenderer(serializer=_as_json),
    ]


def _as_json(line: object, **_: object) -> bytes:
    try:
        written = orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z)
    except TypeError:  # half a character, or a key that is no text: to log never fails
        return json.dumps(line, default=str, skipkeys=True).encode()
    for end, escaped in LINE_ENDS.items():
        written = written.replace(end, escaped)
    return written


def _take_in_libraries(shared: list[Any], stream: LogStream | None, *, terminal: bool) -> None:
    last = CONSOLE if terminal else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr if stream is None else LogText(stream))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
