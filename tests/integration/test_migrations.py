"""The migrations: up and down one by one, and in the end exactly the tables of the code."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.schema import Schema, SchemaBehind, config, newest
from parlor.adapters.sql.tables import metadata

REVISIONS = [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(url.replace("postgresql", "postgresql+asyncpg", 1), poolclass=NullPool)
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


async def migrate(url: str, to: Callable[..., None], revision: str) -> None:
    def run(connection: Connection) -> None:
        made = config()
        made.attributes["connection"] = connection
        to(made, revision)

    async with connected(url) as connection:
        await connection.run_sync(run)


async def catalogue(url: str) -> list[tuple[object, ...]]:
    """Every relation with its columns and indexes, but Alembic's own table."""
    connection = await asyncpg.connect(url)
    try:
        columns = await connection.fetch(
            """select table_name, column_name, data_type, column_default, is_nullable
                 from information_schema.columns
                where table_schema = 'public' and table_name <> 'alembic_version' order by 1, 2"""
        )
        indexes = await connection.fetch(
            """select tablename, indexdef from pg_indexes
                where schemaname = 'public' and tablename <> 'alembic_version' order by 1, 2"""
        )
    finally:
        await connection.close()
    return [tuple(row) for row in (*columns, *indexes)]


async def test_every_migration_can_be_undone_and_done_again(empty_database_url: str) -> None:
    """A stairway: up one, down one, up one, for each; down leaves what stood before."""
    for revision in REVISIONS:
        before = await catalogue(empty_database_url)
        await migrate(empty_database_url, command.upgrade, revision)
        after = await catalogue(empty_database_url)
        await migrate(empty_database_url, command.downgrade, "-1")
        assert await catalogue(empty_database_url) == before
        await migrate(empty_database_url, command.upgrade, revision)
        assert await catalogue(empty_database_url) == after


async def test_the_migrated_database_is_what_the_tables_say(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare_metadata(context, metadata))

    async with connected(database_url) as connection:
        assert await connection.run_sync(differences) == []


async def test_the_migrated_indexes_and_settings_are_what_the_tables_say(
    database_url: str, empty_database_url: str
) -> None:
    """Alembic does not compare an index's order and condition, nor a table's storage settings."""

    async def relations(url: str) -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(url)
        try:
            indexes = await connection.fetch(
                """select indexdef from pg_indexes
                    where schemaname = 'public' and indexname not like 'alembic%'"""
            )
            settings = await connection.fetch(
                "select relname, reloptions from pg_class where relkind = 'r' and reloptions is not null"
            )
            checks = await connection.fetch(
                """select conname, pg_get_constraintdef(oid) from pg_constraint
                    where connamespace = 'public'::regnamespace and conname not like 'alembic%'"""
            )
        finally:
            await connection.close()
        return sorted(tuple(map(str, row)) for row in (*indexes, *settings, *checks))

    async with connected(empty_database_url) as connection:
        await connection.run_sync(metadata.create_all)
        await connection.commit()
    assert await relations(database_url) == await relations(empty_database_url)


async def test_the_newest_migration_of_the_code_is_what_an_upgrade_ends_at(database: Database) -> None:
    async with database.session() as session:
        assert await session.fetchval("select version_num from alembic_version") == newest() == REVISIONS[-1]


async def test_an_upgraded_database_passes_the_check(database: Database, database_url: str) -> None:
    await Schema(database_url).check(database)


async def test_a_database_behind_the_code_is_named_with_what_to_do(empty_database_url: str) -> None:
    database = Database(empty_database_url, size=1, name="tests")
    await database.open()
    with pytest.raises(SchemaBehind, match=r"at nothing, the code at .* run `parlor migrate`"):
        await Schema(empty_database_url).check(database)
    await database.close()


async def test_processes_that_start_at_once_migrate_once(empty_database_url: str) -> None:
    """Any number may try: one does it, the others find it done."""
    await asyncio.gather(*(Schema(empty_database_url).upgrade() for _ in range(4)))
    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetchval("select count(*) from roles") == 2
    assert await connection.fetchval("select count(*) from alembic_version") == 1
    await connection.close()


async def test_a_url_with_connection_options_can_be_migrated(empty_database_url: str) -> None:
    """What hosting providers hand out ends in `?sslmode=...`."""
    await Schema(empty_database_url + "?sslmode=disable").upgrade()


async def test_a_database_of_the_next_release_will_do(database: Database) -> None:
    """Its migrations come first, while all processes are still ours: they stay ready."""
    async with database.session() as session:
        await session.execute("update alembic_version set version_num = 'of-the-next-release'")
    await Schema.check(database)


async def test_one_that_lacks_the_newest_migration_will_not(database: Database) -> None:
    async with database.session() as session:
        await session.execute("update alembic_version set version_num = '0001'")
    with pytest.raises(SchemaBehind, match="0001"):
        await Schema.check(database)


async def test_the_built_in_roles_are_there_from_the_start(database: Database) -> None:
    async with database.session() as session:
        rows = await session.fetch("select name, permissions from roles")
    permissions = {row["name"]: set(row["permissions"]) for row in rows}
    assert permissions["user"] == {"tasks:create"}
    assert permissions["user"] < permissions["admin"]
    assert "tasks:create:http_request" in permissions["admin"] - permissions["user"]
