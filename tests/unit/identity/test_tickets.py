"""Tickets: drawn for a session, used once, for 30 seconds, and not beyond their session."""

from datetime import timedelta

import pytest

from parlor.core.identity.model import InvalidToken, User, UserStatus
from parlor.core.identity.tickets import LONGEST_STREAM, InvalidTicket, IssueTicket, RedeemTicket, StandFor
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.actor import Actor, ActorKind
from tests.builders import a_session, a_user
from tests.fakes.clock import FakeClock
from tests.fakes.identity import FakeDirectory
from tests.fakes.work import FakeDatabase


class Ada:
    """Somebody with a session, who gets tickets and uses them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.database = FakeDatabase(self.clock)
        self.user = a_user()
        self.session = a_session(self.user)
        self.directory = FakeDirectory(lambda: self.database.store.identity)
        self.issue = IssueTicket(self.database.work, self.clock)
        self.redeem = RedeemTicket(self.database.work, self.clock)
        self.stand_for = StandFor(self.directory)

    async def principal(self) -> Principal:
        user = await self.directory.by_id(self.user.id)
        assert user is not None
        actor = Actor(ActorKind.USER, user.id, user.id, user.permissions)
        return Principal(actor, user, self.session.id)

    async def ticket(self) -> str:
        return (await self.issue(await self.principal())).ticket

    async def end_session(self) -> None:
        async with self.database.work() as work:
            await work.sessions.end(self.user, self.clock.now)

    async def change(self, change: User) -> None:
        async with self.database.work() as work:
            await work.users.save(change)


@pytest.fixture
async def ada() -> Ada:
    ada = Ada()
    async with ada.database.work() as work:
        await work.users.add(ada.user)
        await work.sessions.add(ada.user, ada.session)
    return ada


async def test_a_ticket_stands_for_its_session(ada: Ada) -> None:
    found = await ada.stand_for(await ada.redeem(await ada.ticket()))
    expected = await ada.principal()
    assert (found.actor, found.session_id) == (expected.actor, expected.session_id)


async def test_what_a_ticket_opens_ends_after_an_hour(ada: Ada) -> None:
    claims = await ada.redeem(await ada.ticket())
    assert claims.expires_at == (ada.clock.now + LONGEST_STREAM).timestamp()
    assert (await ada.stand_for(claims)).expires_at == claims.expires_at


async def test_a_ticket_counts_once(ada: Ada) -> None:
    ticket = await ada.ticket()
    await ada.redeem(ticket)
    with pytest.raises(InvalidTicket):
        await ada.redeem(ticket)


async def test_using_one_ticket_leaves_the_others(ada: Ada) -> None:
    one, other = await ada.ticket(), await ada.ticket()
    await ada.redeem(one)
    await ada.redeem(other)


async def test_a_ticket_counts_for_thirty_seconds(ada: Ada) -> None:
    issued = await ada.issue(await ada.principal())
    late = await ada.ticket()
    assert issued.expires_in == 30
    ada.clock.now += timedelta(seconds=29)
    await ada.redeem(issued.ticket)
    ada.clock.now += timedelta(seconds=1)
    with pytest.raises(InvalidTicket):
        await ada.redeem(late)


@pytest.mark.parametrize("shown", ["", "never issued", "\ud800", "x" * 100_000])
async def test_what_was_never_issued_is_refused(ada: Ada, shown: str) -> None:
    with pytest.raises(InvalidTicket):
        await ada.redeem(shown)


async def test_nothing_that_a_thief_of_the_table_could_show_is_stored(ada: Ada) -> None:
    ticket = await ada.ticket()
    (stored,) = ada.database.store.identity.tickets.values()
    assert ticket not in repr(stored)
    with pytest.raises(InvalidTicket):
        await ada.redeem(stored.fingerprint.decode("latin-1"))


async def test_a_ticket_ends_with_its_session(ada: Ada) -> None:
    claims = await ada.redeem(await ada.ticket())
    unused = await ada.ticket()
    await ada.end_session()
    for refused in (claims, await ada.redeem(unused)):
        with pytest.raises(InvalidTicket):
            await ada.stand_for(refused)


async def test_a_ticket_ends_with_every_older_token(ada: Ada) -> None:
    claims = await ada.redeem(await ada.ticket())
    ada.user.end_all_tokens(ada.clock.now)
    await ada.change(ada.user)
    with pytest.raises(InvalidTicket):
        await ada.stand_for(claims)


async def test_a_ticket_of_somebody_disabled_is_refused(ada: Ada) -> None:
    claims = await ada.redeem(await ada.ticket())
    ada.user.status = UserStatus.DISABLED
    await ada.change(ada.user)
    with pytest.raises(InvalidTicket):
        await ada.stand_for(claims)


async def test_an_ended_session_gets_none(ada: Ada) -> None:
    principal = await ada.principal()
    await ada.end_session()
    with pytest.raises(InvalidToken):
        await ada.issue(principal)
    assert ada.database.store.identity.tickets == {}
