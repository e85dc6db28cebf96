"""Core statements, compiled once at import, that run straight on asyncpg.

SQLAlchemy's own execution costs about 100 µs a statement over asyncpg; the expression language costs nothing once it
is text. See ADR 2.
"""

from collections.abc import Sequence

from asyncpg import Record
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.sql.elements import ClauseElement

from parlor.adapters.sql.driver import PooledConnection

_DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves dialect constructors untyped


class Statement:
    """A statement with named parameters; those that the expression fixed itself need not be given."""

    def __init__(self, clause: ClauseElement) -> None:
        compiled = clause.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        self._names: Sequence[str] = compiled.positiontup or ()  # type: ignore[attr-defined]  # on SQLCompiler only
        self._fixed: dict[str, object] = dict(compiled.params)

    def arguments(self, values: dict[str, object]) -> list[object]:
        """Put named values into the order of the placeholders; raises KeyError for a name that it has not."""
        if unknown := values.keys() - self._fixed.keys():
            raise KeyError(f"the statement has no {', '.join(sorted(unknown))}")
        given = self._fixed | values
        return [given[name] for name in self._names]

    async def rows(self, session: PooledConnection, **values: object) -> list[Record]:
        """Run it and answer its rows."""
        return await session.fetch(self.sql, *self.arguments(values))

    async def row(self, session: PooledConnection, **values: object) -> Record | None:
        """Run it and answer its first row, if any."""
        return await session.fetchrow(self.sql, *self.arguments(values))

    async def run(self, session: PooledConnection, **values: object) -> int:
        """Run it and answer how many rows it touched."""
        status = await session.execute(self.sql, *self.arguments(values))
        return int(status.rpartition(" ")[2])
