"""Runs the migrations: online, under a lock timeout, on one connection."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from parlor.adapters.sql.schema import migrating
from parlor.adapters.sql.tables import metadata
from parlor.config import BadSettings, Settings


def _url() -> str:
    try:
        return Settings().migrated
    except BadSettings as error:
        raise SystemExit(str(error)) from error


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
    engine = migrating(_url())
    async with engine.connect() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    asyncio.run(_migrate())
