"""Tickets in PostgreSQL: what has been taken is gone, in every process."""

from typing import Protocol

from parlor.adapters.sql.driver import PooledConnection
from parlor.core.identity.model import InvalidToken
from parlor.core.identity.tickets import MAX_TICKETS, Ticket
from parlor.core.shared.ids import SessionId, UserId

_ADD = """
insert into tickets (fingerprint, user_id, session_id, epoch, expires_at)
select $1, user_id, id, $3, $4 from sessions where id = $2 and ended_at is null"""
_FORGET_OLDEST = f"""
delete from tickets where fingerprint in (
    select fingerprint from tickets where session_id = $1
     order by expires_at desc, fingerprint offset {MAX_TICKETS})"""
_TAKE = """
delete from tickets where fingerprint = $1
returning fingerprint, user_id, session_id, epoch, expires_at"""
FORGET = """
delete from tickets where fingerprint = any(array(
    select fingerprint from tickets where expires_at < clock_timestamp() - interval '1 minute'
     order by expires_at limit 1000 for update skip locked))"""


class TicketScope(Protocol):
    """What the repository needs of the work that it belongs to."""

    async def session(self) -> PooledConnection: ...


class SqlTickets:
    """Port `Tickets`."""

    def __init__(self, work: TicketScope) -> None:
        self._work = work

    async def add(self, ticket: Ticket) -> None:
        """Insert, unless the session has ended; drop what is too many."""
        session = await self._work.session()
        status = await session.execute(
            _ADD, ticket.fingerprint, ticket.session_id, ticket.epoch, ticket.expires_at
        )
        if status != "INSERT 0 1":
            raise InvalidToken
        await session.execute(_FORGET_OLDEST, ticket.session_id)

    async def take(self, fingerprint: bytes) -> Ticket | None:
        """Delete and answer it; who waited for the same row finds it gone."""
        row = await (await self._work.session()).fetchrow(_TAKE, fingerprint)
        if row is None:
            return None
        return Ticket(
            fingerprint=row["fingerprint"],
            user_id=UserId(row["user_id"]),
            session_id=SessionId(row["session_id"]),
            epoch=row["epoch"],
            expires_at=row["expires_at"],
        )
