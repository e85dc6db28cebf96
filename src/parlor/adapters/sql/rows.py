"""Sessions of SQLAlchemy's own for pages that only read: few connections, short statements, no way to write."""

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from parlor.adapters.sql.engine import ACQUIRE_S, CONNECT_S, LIMITS

CONNECTIONS = 2
READ_ONLY = {
    "default_transaction_read_only": "on",
    "plan_cache_mode": "force_custom_plan",  # which index is the shorter way depends on what is sought
}


def reading_engine(url: str) -> AsyncEngine:
    """Make it; no server needs to answer yet. A connection is waited for 2 s."""
    return create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1),
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=ACQUIRE_S,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_S,
            "command_timeout": 10,
            "server_settings": {**LIMITS, **READ_ONLY, "application_name": "parlor console"},
        },
    )


def reading_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Make what opens sessions on it."""
    return async_sessionmaker(engine, expire_on_commit=False)
