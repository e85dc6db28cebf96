"""The pool of connections to PostgreSQL, with every limit that a connection lives under."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID, SafeUUID

import asyncpg
import orjson
from asyncpg.connection import LoggedQuery

from parlor.adapters.sql.driver import PooledConnection, RawConnection
from parlor.adapters.sql.errors import translating
from parlor.adapters.sql.lending import Lender, LendingMeter
from parlor.adapters.sql.pgbouncer import PASSED_ON, check_limits
from parlor.core.shared.meters import ONE, Meters

Watch = Callable[[LoggedQuery], None]

ACQUIRE_S = 2.0
CONNECT_S = 3.0
LIMITS = {
    "lock_timeout": "2000",
    "statement_timeout": "5000",
    "idle_in_transaction_session_timeout": "15000",
    "timezone": "UTC",
    "jit": "off",
}


class Database:
    """PostgreSQL behind a bounded pool; a connection is waited for 2 s, then `database_busy`.

    With `pgbouncer` each transaction may be on another of the server's sessions: see `pgbouncer.py`.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        name: str,
        pgbouncer: bool = False,
        watch: Watch | None = None,
        meters: Meters | None = None,
    ) -> None:
        self._url = url
        self._watch = watch
        self._size = size
        self._name = name
        self._pgbouncer = pgbouncer
        self._lender: Lender | None = None
        self._meter = LendingMeter(meters or Meters())
        self._meter.connections.reads(lambda: self._lender.connections if self._lender is not None else {})
        self._meter.waiting.reads(lambda: {ONE: self._lender.waiting} if self._lender is not None else {})

    async def open(self) -> None:
        """Make the pool; no server needs to answer yet."""
        limits = {name: LIMITS[name] for name in PASSED_ON} if self._pgbouncer else LIMITS
        pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._size,
            max_inactive_connection_lifetime=60,
            timeout=CONNECT_S,
            command_timeout=30,
            server_settings={**limits, "application_name": self._name},
            statement_cache_size=0 if self._pgbouncer else 100,
            init=self._prepare,
            reset=_keep_settings,
        )
        self._lender = Lender(pool, size=self._size, patience_s=ACQUIRE_S, meter=self._meter)

    async def _prepare(self, connection: RawConnection) -> None:
        await _set_codecs(connection)
        if self._watch is not None:
            connection.add_query_logger(self._watch)

    async def close(self) -> None:
        """End every connection, once it is back."""
        if self._lender is not None:
            await self._lender.close()
            self._lender = None

    @property
    def lender(self) -> Lender:
        """Who lends the connections."""
        assert self._lender is not None, "the database is not open"
        return self._lender

    @asynccontextmanager
    async def session(self) -> AsyncIterator[PooledConnection]:
        """Lend a connection; raises PoolExhausted, DatabaseAway, and the other errors of `errors.py`."""
        with translating():
            lender = self.lender
            connection = await lender.acquire()
            try:
                yield connection
            except BaseException:
                await lender.release(connection)
                raise
            lender.pass_on(connection)

    async def ping(self) -> None:
        """Ask for an answer; raises DatabaseAway."""
        async with self.session() as session:
            await session.execute("select 1", timeout=2)

    async def check_limits(self) -> None:
        """Raise LimitsMissing where PgBouncer lends sessions without the limits that ours have."""
        async with self.session() as session:
            await check_limits(session, LIMITS)


_UNKNOWN = SafeUUID.unknown


async def _set_codecs(connection: RawConnection) -> None:
    """Read jsonb as values, and ids as the standard library's own: asyncpg's subclass is no UUID to orjson."""
    await connection.set_type_codec(
        "uuid", schema="pg_catalog", format="binary", encoder=_id_bytes, decoder=_id_of_bytes
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads
    )


async def _keep_settings(connection: RawConnection) -> None:
    """Do nothing: the usual reset would cost each use a round trip, for settings that we never change."""


def _id_bytes(value: UUID | str) -> bytes:
    return value.bytes if isinstance(value, UUID) else UUID(value).bytes


def _id_of_bytes(raw: bytes) -> UUID:
    """Make an id without the constructor's checks, which cost three times as much; a task has several."""
    made = UUID.__new__(UUID)
    object.__setattr__(made, "int", int.from_bytes(raw))
    object.__setattr__(made, "is_safe", _UNKNOWN)
    return made
