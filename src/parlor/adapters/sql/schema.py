"""The database's schema: brought up to date, one process at a time, and asked whether it is."""

import asyncio
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from parlor.adapters.sql.engine import Database

LOCK = 7_275_867_301  # any number that is ours alone
HERE = Path(__file__).resolve()
HOMES = (
    HERE.parents[4],
    HERE.parents[2],
)  # a checkout has migrations/ beside src/; a wheel carries them inside


class SchemaBehind(RuntimeError):
    """The database is not at the newest migration."""


class Schema:
    """Parlor's tables in one database, reached without PgBouncer: the lock is a session's."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def upgrade(self) -> None:
        """Run what is missing, under an advisory lock: of many processes that start at once, one does."""
        engine = migrating(self._url)
        try:
            async with engine.connect() as connection:
                await connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
                await connection.commit()
                await connection.run_sync(_upgrade)
        finally:
            await engine.dispose()

    @staticmethod
    async def check(database: Database) -> None:
        """Raise SchemaBehind unless every migration that this code knows has run.

        One that it does not know is the next release's, whose processes are just coming in: it suits us, too.
        """
        async with database.session() as session:
            there = await session.fetchval("select to_regclass('alembic_version') is not null")
            current = await session.fetchval("select version_num from alembic_version") if there else None
        head, *older = await asyncio.to_thread(known)
        if current is None or current in older:
            raise SchemaBehind(
                f"the database is at {current or 'nothing'}, the code at {head}: run `parlor migrate`"
            )


def migrating(url: str) -> AsyncEngine:
    """Make what migrations run on. asyncpg reads the URL: SQLAlchemy does not know its `sslmode` and the like."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(url),
        poolclass=NullPool,
        hide_parameters=True,
    )


def newest() -> str | None:
    """Name the newest migration that this code has."""
    return next(iter(known()), None)


def known() -> list[str]:
    """Name the migrations that this code has, the newest first."""
    return [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()]


def config() -> Config:
    """Find the migrations, in a checkout or in an installed package."""
    home = next(home for home in HOMES if (home / "alembic.ini").is_file())
    made = Config(str(home / "alembic.ini"))
    made.set_main_option("script_location", str(home / "migrations"))
    return made


def _upgrade(connection: Connection) -> None:
    made = config()
    made.attributes["connection"] = connection
    command.upgrade(made, "head")
