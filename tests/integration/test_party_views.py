"""Parties, members and invitations as readers see them, in the bytes that go out."""

import json
from datetime import timedelta
from typing import Any

import pytest

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.party_views import SqlInvitationViews, SqlPartyViews, SqlSeats
from parlor.core.parties.access import MANAGE, READ, WRITE
from parlor.core.parties.model import Invitation, InvitationStatus, Membership, Party, Role, Visibility
from parlor.core.shared.actor import SYSTEM, Actor, ActorKind
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import InvitationId, PartyId, UserId, uuid7
from parlor.core.shared.paging import Key, PageRequest
from tests.builders import (
    DAY,
    a_membership,
    a_party,
    a_service,
    a_user,
    an_actor,
    an_invitation,
    an_owner,
)
from tests.fakes.clock import NOON, FakeClock
from tests.sql import Sql

ADA, BOB = an_actor(), an_actor()
PRIVATE = Visibility.PRIVATE


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def shown(database: Database) -> SqlPartyViews:
    return SqlPartyViews(database, FakeClock())


@pytest.fixture
def offers(database: Database) -> SqlInvitationViews:
    return SqlInvitationViews(database, FakeClock())


async def founded(sql: Sql, **values: Any) -> Party:
    party = a_party(**{"owner_id": ADA.user_id} | values)
    async with sql.work() as work:
        await work.parties.add(party, an_owner(party))
    return party


async def seated(sql: Sql, party: Party, **values: Any) -> Membership:
    membership = a_membership(party, **values)
    async with sql.work() as work:
        await work.memberships.add(membership)
    return membership


async def invited(sql: Sql, party: Party, **values: Any) -> Invitation:
    invitation = an_invitation(party, **values)
    async with sql.work() as work:
        await work.invitations.add(invitation)
    return invitation


async def test_every_field_of_a_party_is_shown_and_nothing_else(sql: Sql, shown: SqlPartyViews) -> None:
    party = await founded(sql, name='Näh "it"', description="a\n\tb", version=4, capacity=3)
    await seated(sql, party)
    assert json.loads(await shown.one(BOB, party.id)) == {
        "id": str(party.id),
        "name": 'Näh "it"',
        "description": "a\n\tb",
        "visibility": "public",
        "capacity": 3,
        "owner_id": str(ADA.user_id),
        "member_count": 2,
        "chat_id": str(party.chat_id),
        "created_at": "2026-03-01T12:00:00.000000Z",
        "updated_at": "2026-03-01T12:00:00.000000Z",
        "version": 4,
    }


async def test_a_private_party_is_seen_by_its_members_and_by_who_sees_any(
    sql: Sql, shown: SqlPartyViews
) -> None:
    party = await founded(sql, visibility=PRIVATE)
    for viewer in (ADA, *map(an_actor, (READ, WRITE, MANAGE)), a_service(READ)):
        assert json.loads(await shown.one(viewer, party.id))["id"] == str(party.id)
        assert json.loads((await shown.members(viewer, party.id, PageRequest())).items)
    adas_key = Actor(ActorKind.API_KEY, id=uuid7(), user_id=ADA.user_id)
    for viewer in (BOB, SYSTEM, adas_key):
        for party_id in (party.id, PartyId(uuid7())):
            with pytest.raises(NotFound):
                await shown.one(viewer, party_id)
            with pytest.raises(NotFound):
                await shown.members(viewer, party_id, PageRequest())


async def test_a_guest_sees_the_party_of_a_pending_invitation_but_not_its_members(
    sql: Sql, shown: SqlPartyViews
) -> None:
    party = await founded(sql, visibility=PRIVATE)
    invitation = await invited(sql, party, guest_id=BOB.user_id, expires_at=NOON + timedelta(seconds=1))
    assert json.loads(await shown.one(BOB, party.id))["id"] == str(party.id)
    with pytest.raises(NotFound):
        await shown.members(BOB, party.id, PageRequest())
    for change in ("expires_at = $2", "status = 'declined', expires_at = $2::timestamptz + interval '1 h'"):
        await sql.execute(f"update party_invitations set {change} where id = $1", invitation.id, NOON)
        with pytest.raises(NotFound):
            await shown.one(BOB, party.id)


async def test_members_are_listed_with_their_names_the_longest_serving_first(
    sql: Sql, shown: SqlPartyViews
) -> None:
    eve = a_user(display_name='Eve "X"')
    async with sql.work() as work:
        await work.users.add(eve)
    party = await founded(sql)
    late = await seated(sql, party, joined_at=NOON + 2 * DAY)
    early = await seated(sql, party, user_id=eve.id, role=Role.OFFICER, joined_at=NOON + DAY)
    pages: list[list[dict[str, str]]] = []
    key: Key | None = None
    while not pages or key:
        page = await shown.members(BOB, party.id, PageRequest(2, key))
        pages.append(json.loads(page.items))
        key = page.next_key
    assert [[one["user_id"] for one in page] for page in pages] == [
        [str(ADA.user_id), str(eve.id)],
        [str(late.user_id)],
    ]
    assert pages[0][1] == {
        "user_id": str(eve.id),
        "display_name": 'Eve "X"',
        "role": "officer",
        "joined_at": "2026-03-02T12:00:00.000000Z",
    }
    assert json.loads(await shown.member(party.id, early.user_id)) == pages[0][1]
    with pytest.raises(NotFound):
        await shown.member(party.id, UserId(uuid7()))


async def test_an_invitation_is_shown_to_whom_it_concerns(sql: Sql, offers: SqlInvitationViews) -> None:
    party = await founded(sql, visibility=PRIVATE)
    officer, member = [await seated(sql, party, role=role) for role in (Role.OFFICER, Role.MEMBER)]
    sender = an_actor()
    invitation = await invited(sql, party, guest_id=BOB.user_id, inviter_id=sender.user_id)
    for viewer in (BOB, ADA, sender, an_actor(user_id=officer.user_id), an_actor(READ), a_service(WRITE)):
        assert json.loads(await offers.one(viewer, invitation.id)) == {
            "id": str(invitation.id),
            "party_id": str(party.id),
            "inviter_id": str(sender.user_id),
            "guest_id": str(BOB.user_id),
            "status": "pending",
            "expires_at": "2026-03-02T12:00:00.000000Z",
        }
    bobs_key = Actor(ActorKind.API_KEY, id=uuid7(), user_id=BOB.user_id)
    for viewer in (an_actor(), an_actor(user_id=member.user_id), SYSTEM, bobs_key):
        with pytest.raises(NotFound):
            await offers.one(viewer, invitation.id)
    with pytest.raises(NotFound):
        await offers.one(ADA, InvitationId(uuid7()))


async def test_a_guests_invitations_are_listed_newest_first(sql: Sql, offers: SqlInvitationViews) -> None:
    guest = UserId(uuid7())
    sent = [
        await invited(sql, await founded(sql), guest_id=guest, created_at=NOON - n * DAY) for n in range(3)
    ]
    await invited(sql, await founded(sql))
    listed: list[str] = []
    key: Key | None = None
    while not listed or key:
        page = await offers.page(guest, PageRequest(2, key), status=None)
        listed += [one["id"] for one in json.loads(page.items)]
        key = page.next_key
    assert listed == [str(one.id) for one in sent]


async def test_one_that_was_not_answered_in_time_is_expired(sql: Sql, offers: SqlInvitationViews) -> None:
    guest = UserId(uuid7())
    pending, late, stored = [
        await invited(sql, await founded(sql), guest_id=guest, **values)
        for values in (
            {"expires_at": NOON + timedelta(microseconds=1)},
            {"expires_at": NOON},
            {"status": InvitationStatus.EXPIRED, "expires_at": NOON - DAY},
        )
    ]
    listed = {
        status: {
            one["id"] for one in json.loads((await offers.page(guest, PageRequest(), status=status)).items)
        }
        for status in InvitationStatus
    }
    assert listed[InvitationStatus.PENDING] == {str(pending.id)}
    assert listed[InvitationStatus.EXPIRED] == {str(late.id), str(stored.id)}
    assert listed[InvitationStatus.ACCEPTED] == set()
    page = await offers.page(guest, PageRequest(), status=InvitationStatus.EXPIRED)
    assert {one["status"] for one in json.loads(page.items)} == {"expired"}


async def test_a_seat_is_taken_while_its_member_is_there(sql: Sql, database: Database) -> None:
    party = await founded(sql)
    member = await seated(sql, party)
    seats = SqlSeats(database)
    assert await seats.taken(party.id, member.user_id)
    assert not await seats.taken(party.id, UserId(uuid7()))
    async with sql.work() as work:
        await work.memberships.remove(member)
    assert not await seats.taken(party.id, member.user_id)


async def test_invitations_are_forgotten_a_month_after_they_could_be_answered_last(sql: Sql) -> None:
    party = await founded(sql)
    kept = await invited(sql, party)
    await invited(sql, party, status=InvitationStatus.ACCEPTED)
    await sql.execute(
        "update party_invitations set expires_at = now() - interval '29 days' where id = $1", kept.id
    )
    await sql.execute(
        "update party_invitations set expires_at = now() - interval '31 days' where id <> $1", kept.id
    )
    assert await sql.upkeep.forget_ended(DAY) == 1
    assert await sql.value("select array_agg(id) from party_invitations") == [kept.id]
