"""Connections of a pool, lent from hand to hand."""

import asyncio
import time
from collections import deque
from contextlib import suppress

import asyncpg
import structlog

from parlor.adapters.sql.driver import ConnectionPool, PooledConnection
from parlor.adapters.sql.errors import AWAY, PoolExhausted
from parlor.core.shared.meters import Meters, Readings

log = structlog.get_logger()

WARM_S = 10.0  # how long connections go from hand to hand before the pool sees them again

Turn = asyncio.Future[PooledConnection | None]


class LendingMeter:
    """What is counted about connections and those who wait for one."""

    def __init__(self, meters: Meters) -> None:
        self.acquiring = meters.timing(
            "parlor_database_pool_acquire_seconds", "How long somebody waited for a connection of the pool."
        ).of()
        self.timeouts = meters.tally(
            "parlor_database_pool_timeouts_total", "How often no connection was free within 2 s: a 503."
        ).of()
        self.connections = meters.level(
            "parlor_database_pool_connections",
            "The pool's connections: idle, in use, and how many it may have.",
            "state",
        )
        self.waiting = meters.level(
            "parlor_database_pool_waiting", "How many wait for a connection of the pool."
        )


class Lender:
    """Lends up to `size` connections; whoever comes when all are lent waits for a turn, first come, first served.

    Asking the pool costs as much as a short query: it makes a task to lend a connection, and one to take it back. So
    a connection of which all is well goes straight to the next one, and every 10 s what is not in use goes back to
    the pool, which retires what is idle or old.
    """

    def __init__(
        self, pool: ConnectionPool, *, size: int, patience_s: float, meter: LendingMeter | None = None
    ) -> None:
        self._pool = pool
        self._meter = meter or LendingMeter(Meters())
        self._size = size
        self._patience_s = patience_s
        self._lent = 0
        self._warm: list[PooledConnection] = []
        self._turns: deque[Turn] = deque()
        self._cooling: asyncio.TimerHandle | None = None
        self._returns: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def in_use(self) -> int:
        """How many are lent."""
        return self._lent - len(self._warm)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._turns)

    @property
    def connections(self) -> Readings:
        """How many there are, by what is done with them."""
        idle = max(0, self._pool.get_size() - self.in_use)
        return {("idle",): idle, ("in_use",): self.in_use, ("most",): self._size}

    async def acquire(self) -> PooledConnection:
        """Lend one until `pass_on` or `release`; raises PoolExhausted after `patience_s`."""
        while self._warm:
            connection = self._warm.pop()
            if _usable(connection):
                self._meter.acquiring.at_once()
                return connection
            await self.release(connection)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._next()
        except TimeoutError as error:
            self._meter.timeouts.n += 1
            raise PoolExhausted from error
        finally:
            self._meter.acquiring.see(time.perf_counter() - began)

    def pass_on(self, connection: PooledConnection) -> None:
        """Take back a connection of which all is well, for whoever comes next."""
        if self._closing or not _usable(connection) or connection.is_in_transaction():
            self._return(connection)
        elif not self._give_turn(connection):
            self._warm.append(connection)
            if self._cooling is None:
                self._cooling = asyncio.get_running_loop().call_later(WARM_S, self._cool)

    async def release(self, connection: PooledConnection) -> None:
        """Take one back to the pool, which ends what still runs on it. One that broke is closed."""
        try:
            try:
                await _end_transaction(connection)
            finally:
                await self._pool.release(connection)
        except AWAY as error:
            log.info("connection_dropped", error=type(error).__name__)  # what broke it has been told already
        finally:
            self._lent -= 1
            self._give_turn(None)

    async def close(self) -> None:
        """Wait until every connection is back, and end it."""
        self._closing = True
        self._cool()
        await asyncio.gather(*self._returns)
        await self._pool.close()

    async def _next(self) -> PooledConnection:
        while self._lent >= self._size:
            connection = await self._turn()
            if connection is not None:
                return connection
        self._lent += 1
        try:
            return await self._pool.acquire()
        except BaseException:
            self._lent -= 1
            self._give_turn(None)
            raise

    async def _turn(self) -> PooledConnection | None:
        """Wait for a connection, or for the news that the pool has one."""
        turn: Turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):  # passed over already
                    self._turns.remove(turn)
            elif (connection := turn.result()) is not None:
                self.pass_on(connection)
            else:
                self._give_turn(None)
            raise

    def _give_turn(self, connection: PooledConnection | None) -> bool:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _cool(self) -> None:
        if self._cooling is not None:
            self._cooling.cancel()
            self._cooling = None
        while self._warm:
            self._return(self._warm.pop())

    def _return(self, connection: PooledConnection) -> None:
        task = asyncio.create_task(self.release(connection))
        self._returns.add(task)
        task.add_done_callback(self._returns.discard)


def _usable(connection: PooledConnection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # it broke, and the pool has it back already
        return False


async def _end_transaction(connection: PooledConnection) -> None:
    """Leave nothing open. The pool would see to that too, but as a mistake of ours that it logs."""
    if not connection.is_closed() and connection.is_in_transaction():
        await connection.execute("rollback")
