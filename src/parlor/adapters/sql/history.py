"""The login history in PostgreSQL."""

from typing import Protocol

from sqlalchemy import insert

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import logins
from parlor.core.identity.history import LoginEntry
from parlor.core.shared.ids import uuid7

_ADD = Statement(insert(logins))


class HistoryScope(Protocol):
    """What the repository needs of the work that it belongs to."""

    async def session(self) -> PooledConnection: ...


class SqlHistory:
    """Port `History`."""

    def __init__(self, work: HistoryScope) -> None:
        self._work = work

    async def add(self, entry: LoginEntry) -> None:
        """Insert."""
        await _ADD.run(await self._work.session(), **_columns(entry))


def _columns(entry: LoginEntry) -> dict[str, object]:
    return {
        "id": uuid7(),
        "user_id": entry.user_id,
        "at": entry.at,
        "outcome": entry.outcome,
        "method": entry.method,
        "ip": entry.client.ip,
        "network": entry.client.network,
        "user_agent": entry.client.user_agent,
        "session_id": entry.session_id,
    }
