"""Seats at parties, for games: a read of parties' table, in the transaction that acts on it."""

from typing import Protocol

from parlor.adapters.sql.driver import PooledConnection
from parlor.core.shared.ids import PartyId, UserId

_IS_MEMBER = "select true from party_members where party_id = $1 and user_id = $2 for key share"


class SeatScope(Protocol):
    """What the repository needs of the work that it belongs to."""

    async def session(self) -> PooledConnection: ...


class SqlSeats:
    """Port `Seats`."""

    def __init__(self, work: SeatScope) -> None:
        self._work = work

    async def is_member(self, party_id: PartyId, user_id: UserId) -> bool:
        """Look for the seat, and keep it from being taken away."""
        return bool(await (await self._work.session()).fetchval(_IS_MEMBER, party_id, user_id))
