"""Databases that tests make and drop on a server that they share."""

import asyncpg


async def execute(url: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def drop(url: str, name: str) -> None:
    """Drop a database with what is still connected to it.

    Not `with (force)`: that also wants to end the server's own vacuum there, which only a superuser may. A plain
    drop waits for it instead.
    """
    ours = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}' and usename = current_user"
    await execute(url, ours)
    await execute(url, f"drop database {name}")
