"""asyncpg's types, with the parameters that only its stubs know."""

from typing import TYPE_CHECKING

from asyncpg import Connection, Pool
from asyncpg.pool import PoolConnectionProxy

if TYPE_CHECKING:
    from asyncpg import Record

    PooledConnection = PoolConnectionProxy[Record]
    RawConnection = Connection[Record]
    ConnectionPool = Pool[Record]
else:
    PooledConnection, RawConnection, ConnectionPool = PoolConnectionProxy, Connection, Pool
