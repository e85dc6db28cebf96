"""Ports of parties: one test body over memory and PostgreSQL."""

import asyncio
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from parlor.core.identity.model import UserStatus
from parlor.core.parties.model import (
    Ban,
    Invitation,
    InvitationStatus,
    Membership,
    Party,
    PartyFull,
    Role,
    Visibility,
)
from parlor.core.parties.ports import Standing
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import ChatId, InvitationId, PartyId, UserId, uuid7
from tests.builders import DAY, a_membership, a_party, a_user, an_invitation, an_owner
from tests.contract.backends import Backend
from tests.fakes.clock import NOON

EVERY_FIELD: dict[str, Any] = {
    "id": PartyId(uuid7()),
    "name": 'Näh "it"',
    "description": "On Tuesdays.\n\tOr not.",
    "visibility": Visibility.PRIVATE,
    "capacity": 3,
    "owner_id": UserId(uuid7()),
    "chat_id": ChatId(uuid7()),
    "created_at": NOON - timedelta(days=1),
    "updated_at": NOON + timedelta(microseconds=1),
    "member_count": 1,
    "version": 7,
}
EVERY_FIELD_OF_AN_INVITATION: dict[str, Any] = {
    "id": InvitationId(uuid7()),
    "inviter_id": UserId(uuid7()),
    "guest_id": UserId(uuid7()),
    "created_at": NOON - timedelta(days=1),
    "expires_at": NOON + timedelta(microseconds=1),
    "status": InvitationStatus.EXPIRED,
}


async def founded(backend: Backend, **values: Any) -> Party:
    party = a_party(**values)
    async with backend.work() as work:
        await work.parties.add(party, an_owner(party))
    return party


async def seated(backend: Backend, party: Party, **values: Any) -> Membership:
    membership = a_membership(party, **values)
    async with backend.work() as work:
        await work.memberships.add(membership)
    return membership


async def invited(backend: Backend, party: Party, **values: Any) -> Invitation:
    invitation = an_invitation(party, **values)
    async with backend.work() as work:
        await work.invitations.add(invitation)
    return invitation


async def found(backend: Backend, party_id: PartyId) -> Party:
    async with backend.work() as work:
        assert await work.parties.find(party_id) == await work.parties.get(party_id)
        return await work.parties.get(party_id)


async def test_every_field_of_a_party_comes_back(backend: Backend) -> None:
    party, plain = Party(**EVERY_FIELD), a_party()
    same = [one.name for one in fields(Party) if getattr(party, one.name) == getattr(plain, one.name)]
    assert same == ["member_count"]
    async with backend.work() as work:
        await work.parties.add(party, an_owner(party))
    assert await found(backend, party.id) == party
    async with backend.work() as work:
        assert await work.memberships.find(party.id, party.owner_id) == an_owner(party)


async def test_every_field_that_can_change_is_saved_under_a_new_version(backend: Backend) -> None:
    party = await founded(backend)
    changed = Party(**EVERY_FIELD | {"id": party.id, "version": 1})
    async with backend.work() as work:
        await work.parties.save(changed)
    assert changed.version == 2
    assert await found(backend, party.id) == changed


async def test_the_count_of_members_moves_without_the_version_and_is_never_saved(backend: Backend) -> None:
    party = await founded(backend)
    await seated(backend, party)
    assert await found(backend, party.id) == replace(party, member_count=2)
    async with backend.work() as work:
        await work.parties.save(replace(party, member_count=5))
    assert await found(backend, party.id) == replace(party, member_count=2, version=2)


async def test_a_version_that_somebody_else_has_changed_is_not_overwritten(backend: Backend) -> None:
    party = await founded(backend)
    async with backend.work() as work:
        await work.parties.save(replace(party, name="Theirs"))
    with pytest.raises(Contended):
        async with backend.work() as work:
            await work.parties.save(replace(party, name="Mine"))
    assert (await found(backend, party.id)).name == "Theirs"


async def test_a_removed_party_takes_all_that_is_its_own_with_it(backend: Backend) -> None:
    party, other = await founded(backend), await founded(backend)
    member, invitation = await seated(backend, party), await invited(backend, party)
    ban, kept = Ban(party.id, UserId(uuid7()), None, NOON), await invited(backend, other)
    async with backend.work() as work:
        await work.bans.add(ban)
        await work.parties.remove(party.id)
        await work.parties.remove(PartyId(uuid7()))
    async with backend.work() as work:
        assert await work.parties.find(party.id) is None
        assert await work.memberships.find(party.id, member.user_id) is None
        assert await work.invitations.find(invitation.id) is None
        assert await work.parties.standing(party.id, ban.user_id, NOON) == Standing()
        assert await work.invitations.find(kept.id) == kept
        assert await work.memberships.find(other.id, other.owner_id) == an_owner(other)
        with pytest.raises(NotFound):
            await work.parties.get(party.id)


async def test_an_exception_leaves_no_trace(backend: Backend) -> None:
    kept, party = await founded(backend), a_party()
    invitation = await invited(backend, kept)

    async def fail() -> None:
        async with backend.work() as work:
            await work.parties.add(party, an_owner(party))
            await work.parties.save(replace(kept, name="Other"))
            await work.memberships.add(a_membership(kept))
            await work.memberships.remove(an_owner(kept))
            await work.invitations.save(replace(invitation, status=InvitationStatus.REVOKED))
            await work.bans.add(Ban(kept.id, invitation.guest_id, None, NOON))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await found(backend, kept.id) == kept
    async with backend.work() as work:
        assert await work.parties.find(party.id) is None
        assert await work.memberships.find(kept.id, kept.owner_id) == an_owner(kept)
        assert await work.invitations.get(invitation.id) == invitation
        assert await work.parties.standing(kept.id, invitation.guest_id, NOON) == Standing(invited=True)


async def test_every_field_of_a_membership_comes_back_and_its_role_is_saved(backend: Backend) -> None:
    party = await founded(backend)
    officer = await seated(backend, party, role=Role.OFFICER, joined_at=NOON + timedelta(microseconds=1))
    member = await seated(backend, party)
    async with backend.work() as work:
        assert await work.memberships.find(party.id, officer.user_id) == officer
        assert await work.memberships.find(party.id, UserId(uuid7())) is None
        await work.memberships.save(replace(member, role=Role.OFFICER))
    async with backend.work() as work:
        stored = await work.memberships.find(party.id, member.user_id)
        assert stored == replace(member, role=Role.OFFICER)


async def test_a_seat_that_is_freed_is_counted_once(backend: Backend) -> None:
    party = await founded(backend)
    member = await seated(backend, party)
    for _ in range(2):
        async with backend.work() as work:
            await work.memberships.remove(member)
    assert (await found(backend, party.id)).member_count == 1


async def test_more_than_there_are_seats_are_refused_also_at_once_and_without_the_partys_lock(
    backend: Backend,
) -> None:
    party = await founded(backend, capacity=4)
    joins = (seated(backend, party) for _ in range(12))
    outcomes = await asyncio.gather(*joins, return_exceptions=True)
    assert [type(one) for one in outcomes if not isinstance(one, Membership)] == [PartyFull] * 9
    assert (await found(backend, party.id)).member_count == 4


async def test_the_heir_is_the_longest_serving_officer_else_member(backend: Backend) -> None:
    party = await founded(backend)
    async with backend.work() as work:
        await work.memberships.remove(an_owner(party))
        assert await work.memberships.heir(party.id) is None
    late, early = [await seated(backend, party, joined_at=NOON + n * DAY) for n in (2, 1)]
    async with backend.work() as work:
        assert await work.memberships.heir(party.id) == early
    officers = [await seated(backend, party, role=Role.OFFICER, joined_at=NOON + n * DAY) for n in (4, 3)]
    async with backend.work() as work:
        assert await work.memberships.heir(party.id) == officers[1]
        assert late != early


async def test_an_heir_whose_account_is_active_comes_before_all_others(backend: Backend) -> None:
    party = await founded(backend)
    disabled, active = a_user(status=UserStatus.DISABLED), a_user()
    async with backend.work() as work:
        await work.memberships.remove(an_owner(party))
        for user in (disabled, active):
            await work.users.add(user)
    away = await seated(backend, party, user_id=disabled.id, role=Role.OFFICER)
    async with backend.work() as work:
        assert await work.memberships.heir(party.id) == away
    there = await seated(backend, party, user_id=active.id, joined_at=NOON + DAY)
    async with backend.work() as work:
        assert await work.memberships.heir(party.id) == there


async def test_whoever_joined_at_the_same_moment_comes_in_the_order_of_their_ids(backend: Backend) -> None:
    party = await founded(backend)
    members = [await seated(backend, party) for _ in range(3)]
    async with backend.work() as work:
        await work.memberships.remove(an_owner(party))
        assert await work.memberships.heir(party.id) == min(members, key=lambda one: one.user_id)


async def test_ones_ties_are_seats_and_pending_invitations_page_by_page(backend: Backend) -> None:
    user_id = UserId(uuid7())
    seats = [await founded(backend, owner_id=user_id), await founded(backend)]
    await seated(backend, seats[1], user_id=user_id)
    await invited(backend, seats[1], guest_id=user_id)
    inviting, declined = await founded(backend), await founded(backend)
    await invited(backend, inviting, guest_id=user_id)
    await invited(backend, declined, guest_id=user_id, status=InvitationStatus.DECLINED)
    ids = sorted([*(one.id for one in seats), inviting.id])
    async with backend.work() as work:
        assert await work.memberships.ties(user_id, after=None, limit=10) == ids
        assert await work.memberships.ties(user_id, after=None, limit=2) == ids[:2]
        assert await work.memberships.ties(user_id, after=ids[1], limit=2) == ids[2:]
        assert await work.memberships.ties(UserId(uuid7()), after=None, limit=10) == []


async def test_every_field_of_an_invitation_comes_back_and_its_status_is_saved(backend: Backend) -> None:
    party = await founded(backend)
    every = Invitation(party_id=party.id, **EVERY_FIELD_OF_AN_INVITATION)
    plain = an_invitation(party)
    same = [one.name for one in fields(Invitation) if getattr(every, one.name) == getattr(plain, one.name)]
    assert same == ["party_id"]
    async with backend.work() as work:
        await work.invitations.add(every)
        await work.invitations.add(plain)
    accepted = replace(plain, status=InvitationStatus.ACCEPTED)
    async with backend.work() as work:
        assert await work.invitations.find(every.id) == await work.invitations.get(every.id) == every
        assert await work.invitations.find(InvitationId(uuid7())) is None
        with pytest.raises(NotFound):
            await work.invitations.get(InvitationId(uuid7()))
        await work.invitations.save(accepted)
    async with backend.work() as work:
        assert await work.invitations.get(plain.id) == accepted


async def test_a_guests_pending_invitation_is_found_also_when_it_has_expired(backend: Backend) -> None:
    party, other = await founded(backend), await founded(backend)
    guest = UserId(uuid7())
    await invited(backend, party, guest_id=guest, status=InvitationStatus.REVOKED)
    await invited(backend, other, guest_id=guest)
    async with backend.work() as work:
        assert await work.invitations.pending(party.id, guest) is None
    pending = await invited(backend, party, guest_id=guest, expires_at=NOON - DAY)
    async with backend.work() as work:
        assert await work.invitations.pending(party.id, guest) == pending


async def test_what_somebody_is_to_a_party(backend: Backend) -> None:
    party = await founded(backend)
    guest, banned = (await invited(backend, party)), UserId(uuid7())
    async with backend.work() as work:
        await work.bans.add(Ban(party.id, banned, party.owner_id, NOON))
    async with backend.work() as work:
        standing = work.parties.standing
        assert await standing(party.id, party.owner_id, NOON) == Standing(Role.OWNER)
        assert await standing(party.id, guest.guest_id, NOON) == Standing(invited=True)
        assert await standing(party.id, guest.guest_id, guest.expires_at) == Standing()
        assert await standing(party.id, banned, NOON) == Standing(banned=True)
        assert await standing(party.id, UserId(uuid7()), NOON) == Standing()
        assert await standing(PartyId(uuid7()), party.owner_id, NOON) == Standing()


async def test_a_ban_stands_once_and_is_lifted_once(backend: Backend) -> None:
    party = await founded(backend)
    ban = Ban(party.id, UserId(uuid7()), party.owner_id, NOON)
    async with backend.work() as work:
        assert await work.bans.add(ban)
        assert not await work.bans.add(replace(ban, banned_by=None))
        assert await work.bans.remove(party.id, ban.user_id)
        assert not await work.bans.remove(party.id, ban.user_id)


async def test_a_disabled_user_is_known_but_not_active(backend: Backend) -> None:
    active, disabled = a_user(), a_user(status=UserStatus.DISABLED)
    async with backend.work() as work:
        await work.users.add(active)
        await work.users.add(disabled)
    async with backend.work() as work:
        users = (active.id, disabled.id, UserId(uuid7()))
        assert [await work.people.known(one) for one in users] == [True, True, False]
        assert [await work.people.hold(one) for one in users] == [True, False, False]
