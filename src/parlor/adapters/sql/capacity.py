"""Whether the server has connections for all that this process may open beside what others have open now."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.core.shared.errors import ParlorError

log = structlog.get_logger()

# Everybody sees of a session of somebody else's who it belongs to and by which name; what sort it is, only its owner.
COUNTED = """
select current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int as allowed,
    (select count(*) from pg_stat_activity
      where datid is not null and pid <> pg_backend_pid()
        and coalesce(backend_type, 'client backend') = 'client backend') as others,
    clock_timestamp() as now
"""
MOST_SKEW_S = 5.0
REMEDIES = {
    "connections": "raise max_connections, lower PARLOR_DATABASE_POOL, or run fewer processes",
    "clock": "keep both clocks by NTP: tokens, invitations and schedules go by this machine's",
}


class ConnectionsScarce(RuntimeError):
    """The server would refuse connections that this process may ask for."""


class ClockSkewed(RuntimeError):
    """The database's clock and this machine's differ."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the server lets everybody have, what others have now, and by how much its clock is ahead of ours."""

    allowed: int
    others: int
    ahead_s: float

    def must_hold(self, pool: int) -> None:
        """Raise ConnectionsScarce where a pool of this size has no room beside the others."""
        if self.others + pool > self.allowed:
            raise ConnectionsScarce(
                f"a process may open {pool} connections, others have {self.others} open, and the server allows "
                f"{self.allowed}"
            )

    def must_agree(self) -> None:
        """Raise ClockSkewed where the clocks are more than 5 s apart."""
        if abs(self.ahead_s) > MOST_SKEW_S:
            way = "ahead of" if self.ahead_s > 0 else "behind"
            raise ClockSkewed(f"the database's clock is {abs(self.ahead_s):.0f} s {way} this machine's")


async def capacity_of(session: PooledConnection) -> Capacity:
    """Ask the server; the answer's clock is compared with the middle of the time that it took."""
    asked_at = datetime.now(UTC)
    row = await session.fetchrow(COUNTED)
    assert row is not None
    middle = asked_at + (datetime.now(UTC) - asked_at) / 2
    return Capacity(row["allowed"], row["others"], (row["now"] - middle).total_seconds())


class StartingLook:
    """Looks once, while the process starts, and warns in the log; a database that is away is not waited for."""

    def __init__(self, database: Database, pool: int) -> None:
        self._database = database
        self._pool = pool
        self._looking: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Look, beside everything else."""
        self._looking = asyncio.create_task(self.look())

    async def end(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def look(self) -> None:
        """Warn of what is wrong."""
        try:
            async with self._database.session() as session:
                capacity = await capacity_of(session)
        except ParlorError as error:
            log.info("connections_not_counted", error=type(error).__name__)
            return
        self._tell(capacity)

    def _tell(self, capacity: Capacity) -> None:
        try:
            capacity.must_hold(self._pool)
        except ConnectionsScarce as error:
            log.warning("connections_scarce", detail=str(error), do=REMEDIES["connections"])
        try:
            capacity.must_agree()
        except ClockSkewed as error:
            log.warning("clock_skewed", detail=str(error), do=REMEDIES["clock"])
