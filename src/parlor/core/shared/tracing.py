"""The trace that the present work belongs to, as W3C Trace Context writes it; spans are in `spans.py`."""

import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token, copy_context

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("parlor.traceparent", default=None)


def well_formed(text: str | None) -> str | None:
    """Answer a `traceparent` that came from outside, or None where it is none."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None


def current_trace() -> str | None:
    """Answer the `traceparent` of the request or the run that this is part of, if it has one."""
    return _current.get()


def trace_id(traceparent: str) -> str:
    """Read the 32 digits that everything in one trace has in common."""
    return traceparent.split("-")[1]


def onward(traceparent: str) -> str:
    """Write the header for a call to somebody else: the same trace, with a parent of our own."""
    version, trace, _, flags = traceparent.split("-")
    return f"{version}-{trace}-{secrets.token_hex(8)}-{flags}"


def enter_trace(traceparent: str | None) -> Token[str | None]:
    """Let what follows belong to this trace, or to none, until `leave_trace`: for what each request does."""
    return _current.set(traceparent)


def leave_trace(entered: Token[str | None]) -> None:
    """Belong to what it was before."""
    _current.reset(entered)


@contextmanager
def within_trace(traceparent: str | None) -> Generator[None]:
    """Let everything inside belong to this trace, or to none."""
    token = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(token)


def of_trace(traceparent: str | None) -> Context:
    """Make the context for a task of asyncio's that belongs to this trace, or to none."""
    context = copy_context()
    context.run(_current.set, traceparent)
    return context
