"""Runs the migrations: online, under a lock timeout, on one connection."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from parlor.adapters.sql.tables import metadata
from parlor.config import Settings


def _url() -> str:
    url = os.environ.get("PARLOR_MIGRATE_URL") or Settings().database
    if not url:
        raise SystemExit("set DATABASE_URL first")
    return "postgresql+asyncpg://" + url.partition("://")[2]


def _run(connection: Connection) -> None:
    connection.execute(text("set lock_timeout = '2s'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _migrate() -> None:
    engine = create_async_engine(_url(), poolclass=NullPool, hide_parameters=True)
    async with engine.connect() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    asyncio.run(_migrate())
