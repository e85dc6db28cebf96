"""Sessions of SQLAlchemy's own for pages that only read: few connections, short statements, no way to write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError, TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from parlor.adapters.sql.engine import ACQUIRE_S, CONNECT_S, LIMITS
from parlor.adapters.sql.errors import PoolExhausted, translated
from parlor.adapters.sql.pgbouncer import PASSED_ON

CONNECTIONS = 2
COMMAND_S = 10.0
# Which index is the shorter way depends on what is sought.
PLANNED_ANEW = {"plan_cache_mode": "force_custom_plan"}


class ReadingRoom:
    """Rows to look at, and nothing to write with; a connection is waited for 2 s."""

    def __init__(self, url: str, *, pgbouncer: bool = False) -> None:
        self._url = url
        self._pgbouncer = pgbouncer
        # SQLAlchemy does not know a URL's `sslmode`.
        arguments: dict[str, object] = {"async_creator_fn": self._connect}
        if pgbouncer:  # nothing is prepared for a later transaction: it may be on another session
            arguments |= {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            connect_args=arguments,
            execution_options={"postgresql_readonly": True},
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=ACQUIRE_S,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        self.sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Lend a session; raises PoolExhausted, DatabaseAway, and the other errors of `errors.py`."""
        try:
            async with self.sessions() as session:
                yield session
        except NoConnection as error:
            raise PoolExhausted from error
        except Exception as error:
            other = translated(_cause(error))
            if other is None:
                raise
            raise other from error

    async def close(self) -> None:
        """End every connection."""
        await self._engine.dispose()

    async def _connect(self, **_: object) -> asyncpg.Connection:
        passed_on = {name: LIMITS[name] for name in PASSED_ON}
        return await asyncpg.connect(
            self._url,
            timeout=CONNECT_S,
            command_timeout=COMMAND_S,
            statement_cache_size=0 if self._pgbouncer else 100,
            server_settings={
                **(passed_on if self._pgbouncer else LIMITS | PLANNED_ANEW),
                "application_name": "parlor console",
            },
        )


def _cause(error: BaseException) -> BaseException:
    """Find the driver's error behind the ones that it is wrapped in."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error
