"""Statements as spans: what was asked of PostgreSQL and how long it took, without the values."""

from asyncpg.connection import LoggedQuery

from parlor.core.shared.spans import SpanKind, Tracer
from parlor.core.shared.tracing import current_trace

LONGEST_TEXT = 2000


class TracedStatements:
    """Is told of each statement that has ended, and who waited for it. Those that nobody asked for, polls, are none."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __call__(self, statement: LoggedQuery) -> None:
        """Tell of it. The driver keeps the context that it ran in."""
        parent = current_trace()
        if parent is None:
            return
        text = statement.query.strip()
        operation = text.partition(" ")[0].partition("\n")[0].lower()
        facts = {
            "db.system.name": "postgresql",
            "db.operation.name": operation,
            "db.query.text": text[:LONGEST_TEXT],
        }
        span = self._tracer.begin(
            operation, SpanKind.CLIENT, parent=parent, facts=facts, ago_s=statement.elapsed
        )
        span.end(error=None if statement.exception is None else type(statement.exception).__name__)
