"""Port Tickets: one test body over memory and PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from parlor.core.identity.model import InvalidToken, Session
from parlor.core.identity.tickets import MAX_TICKETS, InvalidTicket, RedeemTicket, Ticket, fingerprint_of
from parlor.core.shared.ids import SessionId, uuid7
from tests.builders import a_session, a_user
from tests.contract.backends import Backend
from tests.fakes.clock import NOON, FakeClock


def a_ticket(session: Session, shown: str = "shown", **fields: object) -> Ticket:
    ticket = Ticket(
        fingerprint_of(shown), session.user_id, session.id, epoch=7, expires_at=NOON + timedelta(seconds=30)
    )
    return replace(ticket, **fields)  # type: ignore[arg-type]  # fields by name


async def opened(backend: Backend) -> Session:
    user = a_user()
    session = a_session(user)
    async with backend.work() as work:
        await work.users.add(user)
        await work.sessions.add(user, session)
    return session


async def add(backend: Backend, *tickets: Ticket) -> None:
    for ticket in tickets:
        async with backend.work() as work:
            await work.tickets.add(ticket)


async def take(backend: Backend, shown: str = "shown") -> Ticket | None:
    async with backend.work() as work:
        return await work.tickets.take(fingerprint_of(shown))


async def take_and_fail(backend: Backend) -> None:
    async with backend.work() as work:
        await work.tickets.take(fingerprint_of("shown"))
        raise ZeroDivisionError


async def test_every_field_of_a_ticket_comes_back(backend: Backend) -> None:
    ticket = a_ticket(await opened(backend))
    await add(backend, ticket)
    assert await take(backend) == ticket


async def test_what_was_taken_is_gone(backend: Backend) -> None:
    await add(backend, a_ticket(await opened(backend)))
    await take(backend)
    assert await take(backend) is None


async def test_what_was_taken_in_vain_is_still_there(backend: Backend) -> None:
    await add(backend, a_ticket(await opened(backend)))
    with pytest.raises(ZeroDivisionError):
        await take_and_fail(backend)
    assert await take(backend) is not None


async def test_twenty_uses_of_one_ticket_at_once_are_one(backend: Backend) -> None:
    await add(backend, a_ticket(await opened(backend)))
    redeem = RedeemTicket(backend.work, FakeClock())
    uses = await asyncio.gather(*(redeem("shown") for _ in range(20)), return_exceptions=True)
    refused = [use for use in uses if isinstance(use, InvalidTicket)]
    assert (len(uses) - len(refused), len(refused)) == (1, 19)


async def test_a_session_that_ended_gets_no_ticket(backend: Backend) -> None:
    session = await opened(backend)
    async with backend.work() as work:
        user = await work.users.get(session.user_id)
        await work.sessions.end(user, NOON)
    with pytest.raises(InvalidToken):
        await add(backend, a_ticket(session))
    with pytest.raises(InvalidToken):
        await add(backend, a_ticket(replace(session, id=SessionId(uuid7()))))
    assert await take(backend) is None


async def test_beyond_the_bound_the_oldest_of_that_session_are_no_more(backend: Backend) -> None:
    session, other = await opened(backend), await opened(backend)
    await add(backend, a_ticket(other, "another's", expires_at=NOON - timedelta(hours=1)))
    for number in range(MAX_TICKETS + 2):
        await add(backend, a_ticket(session, f"t{number}", expires_at=NOON + timedelta(seconds=number)))
    left = [number for number in range(MAX_TICKETS + 2) if await take(backend, f"t{number}")]
    assert left == list(range(2, MAX_TICKETS + 2))
    assert await take(backend, "another's") is not None
