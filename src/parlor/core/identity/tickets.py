"""Tickets: what opens a stream once, where no header can be sent."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Protocol

from parlor.core.identity.model import InvalidToken
from parlor.core.identity.ports import Claims, Principals
from parlor.core.identity.use_cases import Principal, standing
from parlor.core.shared.clock import Clock
from parlor.core.shared.ids import SessionId, UserId
from parlor.core.shared.work import UnitOfWork, Work

TICKET_LIFE = timedelta(seconds=30)
MAX_TICKETS = 50
LONGEST_STREAM = timedelta(hours=1)


class InvalidTicket(InvalidToken):
    """The ticket is unknown, used, expired, or its session has ended."""

    code = "invalid_ticket"


@dataclass(frozen=True, slots=True)
class Ticket:
    """Stands for a session, once; only the hash of what its holder shows is stored."""

    fingerprint: bytes
    user_id: UserId
    session_id: SessionId
    epoch: int
    expires_at: datetime


class Tickets(Protocol):
    """Tickets that have not been used."""

    async def add(self, ticket: Ticket) -> None:
        """Store it; its session's oldest beyond 50 are no more. Raises InvalidToken where the session has ended."""
        ...

    async def take(self, fingerprint: bytes) -> Ticket | None:
        """Find it and remove it: of many who take the same one, one gets it."""
        ...


class TicketWork(Work, Protocol):
    """A transaction of tickets."""

    @property
    def tickets(self) -> Tickets: ...


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """What its holder shows, and for how many seconds it counts."""

    ticket: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class IssueTicket:
    """A user gets a ticket for this session."""

    work: UnitOfWork[TicketWork]
    clock: Clock

    async def __call__(self, principal: Principal) -> IssuedTicket:
        secret = token_urlsafe(32)
        ticket = Ticket(
            fingerprint=fingerprint_of(secret),
            user_id=principal.user.id,
            session_id=principal.session_id,
            epoch=principal.user.epoch,
            expires_at=self.clock() + TICKET_LIFE,
        )
        async with self.work() as work:
            await work.tickets.add(ticket)
        return IssuedTicket(secret, int(TICKET_LIFE.total_seconds()))


@dataclass(frozen=True, slots=True)
class RedeemTicket:
    """Whoever shows a ticket acts in its session, an hour at most: what it opens ends then, if not before."""

    work: UnitOfWork[TicketWork]
    clock: Clock

    async def __call__(self, shown: str) -> Claims:
        async with self.work() as work:
            ticket = await work.tickets.take(fingerprint_of(shown))
        now = self.clock()
        if ticket is None or ticket.expires_at <= now:
            raise InvalidTicket
        until = (now + LONGEST_STREAM).timestamp()
        return Claims(ticket.user_id, ticket.session_id, epoch=ticket.epoch, expires_at=until)


@dataclass(frozen=True, slots=True)
class StandFor:
    """Tells who a redeemed ticket stands for, as long as its session lasts."""

    principals: Principals

    async def __call__(self, claims: Claims) -> Principal:
        try:
            return await standing(self.principals, claims)
        except InvalidToken as error:
            raise InvalidTicket from error


def fingerprint_of(shown: str) -> bytes:
    """Hash with SHA-256: 256 random bits are nothing to guess."""
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).digest()
