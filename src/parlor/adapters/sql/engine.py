"""The pool of connections to PostgreSQL, with every limit that a connection lives under."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, SafeUUID

import asyncpg
import orjson
import structlog

from parlor.adapters.sql.driver import ConnectionPool, PooledConnection, RawConnection
from parlor.adapters.sql.errors import AWAY, PoolExhausted, translating

log = structlog.get_logger()

ACQUIRE_S = 2.0
CONNECT_S = 3.0
WARM_S = 10.0  # how long connections go from hand to hand before the pool sees them again
LIMITS = {
    "lock_timeout": "2000",
    "statement_timeout": "5000",
    "idle_in_transaction_session_timeout": "15000",
    "timezone": "UTC",
    "jit": "off",
}


class Database:
    """PostgreSQL behind a bounded pool; a connection is waited for 2 s, then `database_busy`.

    Asking the pool costs as much as a short query: it makes a task to lend a connection, and one to take it back. So
    a connection that was of use goes from hand to hand, as long as nobody waits at the pool, and every 10 s back to
    it, which retires what is idle or old.
    """

    def __init__(self, url: str, *, size: int, name: str) -> None:
        self._url = url
        self._size = size
        self._name = name
        self._pool: ConnectionPool | None = None
        self._warm: list[PooledConnection] = []
        self._waiting = 0
        self._cooling: asyncio.TimerHandle | None = None
        self._returns: set[asyncio.Task[None]] = set()
        self._closing = False

    async def open(self) -> None:
        """Make the pool; no server needs to answer yet."""
        self._closing = False
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._size,
            max_inactive_connection_lifetime=60,
            timeout=CONNECT_S,
            command_timeout=30,
            server_settings={**LIMITS, "application_name": self._name},
            init=_set_codecs,
            reset=_keep_settings,
        )

    async def close(self) -> None:
        """End every connection, once it is back."""
        if self._pool is not None:
            self._closing = True
            self._cool()
            await asyncio.gather(*self._returns)
            await self._pool.close()
            self._pool = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[PooledConnection]:
        """Lend a connection; raises PoolExhausted, DatabaseAway, and the other errors of `errors.py`."""
        with translating():
            session = await self.acquire()
            try:
                yield session
            except BaseException:
                await self.release(session)
                raise
            self.pass_on(session)

    async def acquire(self) -> PooledConnection:
        """Lend a connection until `release` or `pass_on`."""
        while self._warm:
            session = self._warm.pop()
            if _usable(session):
                return session
            await self.release(session)
        assert self._pool is not None, "the database is not open"
        self._waiting += 1
        try:
            return await self._pool.acquire(timeout=ACQUIRE_S)
        except TimeoutError as error:
            raise PoolExhausted from error
        finally:
            self._waiting -= 1

    def pass_on(self, session: PooledConnection) -> None:
        """Take back a connection of which all is well, for whoever comes next."""
        if self._waiting or self._closing or not _usable(session) or session.is_in_transaction():
            self._return(session)
            return
        self._warm.append(session)
        if self._cooling is None:
            self._cooling = asyncio.get_running_loop().call_later(WARM_S, self._cool)

    async def release(self, session: PooledConnection) -> None:
        """Take a connection back to the pool. One that broke is closed; what broke it has been told already."""
        assert self._pool is not None, "the database is not open"
        try:
            try:
                await _end_transaction(session)
            finally:
                await self._pool.release(session)
        except AWAY as error:
            log.info("connection_dropped", error=type(error).__name__)

    def _cool(self) -> None:
        """Give the pool back what nobody uses at the moment."""
        if self._cooling is not None:
            self._cooling.cancel()
            self._cooling = None
        while self._warm:
            self._return(self._warm.pop())

    def _return(self, session: PooledConnection) -> None:
        task = asyncio.create_task(self.release(session))
        self._returns.add(task)
        task.add_done_callback(self._returns.discard)

    async def ping(self) -> None:
        """Ask for an answer; raises DatabaseAway."""
        async with self.session() as session:
            await session.execute("select 1", timeout=2)


_UNKNOWN = SafeUUID.unknown


async def _set_codecs(connection: RawConnection) -> None:
    """Read jsonb as values, and ids as the standard library's own: asyncpg's subclass is no UUID to orjson."""
    await connection.set_type_codec(
        "uuid", schema="pg_catalog", format="binary", encoder=_id_bytes, decoder=_id_of_bytes
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads
    )


def _usable(session: PooledConnection) -> bool:
    try:
        return not session.is_closed()
    except asyncpg.InterfaceError:  # it broke, and the pool has it back already
        return False


async def _end_transaction(session: PooledConnection) -> None:
    """Leave nothing open. The pool would see to that too, but as a mistake of ours that it logs."""
    if not session.is_closed() and session.is_in_transaction():
        await session.execute("rollback")


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
