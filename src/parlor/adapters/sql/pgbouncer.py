"""What may not be relied on behind PgBouncer in transaction mode, where each transaction may be on another session.

* Nothing is prepared for later: a statement is parsed in the round trip that runs it. asyncpg sends another before it,
  which asks for the types; PgBouncer 1.21 could follow prepared statements, older ones cannot, and this serves both.
* No limit is set on a connection: PgBouncer refuses start-up parameters that it does not know, and a `SET` would be
  left to whoever gets the session next. It gives each new session the limits itself, by its `connect_query`.
* Locks and settings that outlive a transaction: none. Migrations, which want both, go past PgBouncer.
"""

from collections.abc import Mapping

from parlor.adapters.sql.driver import PooledConnection

# What PgBouncer passes on to whichever session it lends.
PASSED_ON = ("timezone",)


class LimitsMissing(RuntimeError):
    """PgBouncer gives its sessions no limits, so nothing but our own patience bounds a statement or its locks."""


def connect_query(limits: Mapping[str, str]) -> str:
    """Write what PgBouncer is to run on each new session."""
    return "; ".join(f"set {name}={value}" for name, value in limits.items() if name not in PASSED_ON)


async def check_limits(session: PooledConnection, limits: Mapping[str, str]) -> None:
    """Raise LimitsMissing where the session has not what `connect_query` gives it."""
    names = [name for name in limits if name not in PASSED_ON]
    found = await session.fetch(
        "select name, setting from pg_settings where name = any($1::text[])", list(names)
    )
    there = {row["name"]: row["setting"] for row in found}
    missing = [name for name in names if there.get(name) != limits[name]]
    if missing:
        raise LimitsMissing(
            f"{', '.join(missing)} not set: PgBouncer's database needs connect_query='{connect_query(limits)}'"
        )
