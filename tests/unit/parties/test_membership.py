"""Seats: taken, left, freed, and who leads."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from parlor.core.identity.model import UserStatus
from parlor.core.parties.access import MANAGE, READ, WRITE
from parlor.core.parties.bans import BanUser
from parlor.core.parties.membership import ChangeRole, HandOver, JoinParty, KickMember, LeaveParty
from parlor.core.parties.model import (
    Banned,
    Changes,
    InvitationStatus,
    Membership,
    NotAMember,
    PartyFull,
    PartyOwner,
    Role,
    RoleNeeded,
    Visibility,
)
from parlor.core.parties.ports import Doors, Standing
from parlor.core.parties.use_cases import ChangeParty, EndParty
from parlor.core.shared.actor import Actor, PermissionMissing
from parlor.core.shared.errors import NotFound, UnknownUser
from parlor.core.shared.ids import PartyId, UserId, uuid7
from tests.unit.parties.stage import Stage, user


async def test_anybody_joins_a_public_party(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    seat = await stage.act(JoinParty, bob, party_id)
    assert seat == Membership(party_id, user(bob), Role.MEMBER, stage.clock.now)
    assert stage.store.members[party_id, user(bob)] == seat
    assert stage.party(party_id).member_count == 2
    assert stage.party(party_id).version == 1
    assert stage.told[1:] == ["member_joined"]
    assert stage.last == {"user_id": str(bob.user_id)}


async def test_who_joins_twice_keeps_the_first_seat_also_in_a_full_party(
    stage: Stage, ada: Actor, bob: Actor
) -> None:
    party_id = await stage.found(ada, capacity=2)
    first = await stage.act(JoinParty, bob, party_id)
    assert await stage.act(JoinParty, bob, party_id) == first
    assert (await stage.act(JoinParty, ada, party_id)).role is Role.OWNER
    assert (stage.party(party_id).member_count, stage.told[1:]) == (2, ["member_joined"])


async def test_a_full_party_takes_nobody(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada, capacity=1)
    with pytest.raises(PartyFull):
        await stage.act(JoinParty, bob, party_id)
    assert stage.role(party_id, bob) is None


async def test_a_private_party_is_joined_by_its_guests_alone(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found_private(ada)
    invitation_id = await stage.invite(party_id, bob)
    await stage.act(JoinParty, bob, party_id)
    assert stage.invitation(invitation_id).status is InvitationStatus.ACCEPTED
    assert stage.told[-2:] == ["invitation_accepted", "member_joined"]
    for missing in (party_id, PartyId(uuid7())):
        with pytest.raises(NotFound):
            await stage.act(JoinParty, cleo, missing)


@pytest.mark.parametrize("permission", [READ, MANAGE])
async def test_whoever_sees_any_party_sits_in_a_private_one_by_invitation_like_everybody(
    stage: Stage, ada: Actor, permission: str
) -> None:
    keeper, party_id = stage.person(permission), await stage.found_private(ada)
    with pytest.raises(PermissionMissing):
        await stage.act(JoinParty, keeper, party_id)
    assert stage.role(party_id, keeper) is None
    await stage.invite(party_id, keeper)
    await stage.act(JoinParty, keeper, party_id)
    assert stage.role(party_id, keeper) is Role.MEMBER


async def test_an_invitation_that_has_expired_opens_no_door_and_ends_when_another_does(
    stage: Stage, ada: Actor, bob: Actor
) -> None:
    hidden, open_to_all = await stage.found_private(ada), await stage.found(ada)
    stale = [await stage.invite(party_id, bob) for party_id in (hidden, open_to_all)]
    stage.clock.now = stage.invitation(stale[1]).expires_at
    with pytest.raises(NotFound):
        await stage.act(JoinParty, bob, hidden)
    await stage.act(JoinParty, bob, open_to_all)
    assert stage.invitation(stale[1]).status is InvitationStatus.EXPIRED
    assert "invitation_accepted" not in stage.told


async def test_a_disabled_account_takes_no_seat(stage: Stage, ada: Actor) -> None:
    """Its token may live on for a moment."""
    party_id = await stage.found(ada)
    with pytest.raises(UnknownUser):
        await stage.act(JoinParty, stage.person(status=UserStatus.DISABLED), party_id)


async def test_whoever_is_banned_is_told_so_before_that_it_is_full(
    stage: Stage, ada: Actor, bob: Actor
) -> None:
    party_id = await stage.found(ada, capacity=1)
    await stage.act(BanUser, ada, party_id, user(bob))
    with pytest.raises(Banned):
        await stage.act(JoinParty, bob, party_id)


async def test_what_counts_is_what_the_partys_lock_shows(stage: Stage, ada: Actor, bob: Actor) -> None:
    """The look at the door may be older than the last seat, a ban, the closing, or the end of the party."""
    party_id = await stage.found(ada)
    seen = (replace(stage.party(party_id)), Standing())
    stage.doors = AsyncMock(spec=Doors, look=AsyncMock(return_value=seen))
    refusals: list[tuple[Callable[..., Any], tuple[object, ...], type[Exception]]] = [
        (ChangeParty, (Changes(capacity=1),), PartyFull),
        (BanUser, (user(bob),), Banned),
        (ChangeParty, (Changes(visibility=Visibility.PRIVATE),), NotFound),
        (EndParty, (), NotFound),
    ]
    for change, more, refusal in refusals:
        await stage.act(change, ada, party_id, *more)
        with pytest.raises(refusal):
            await stage.act(JoinParty, bob, party_id)
    assert stage.role(party_id, bob) is None


async def test_only_who_may_write_any_party_seats_somebody_else(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found_private(ada)
    for other in (cleo, stage.person(READ)):
        with pytest.raises(PermissionMissing):
            await stage.act(JoinParty, other, party_id, user_id=bob.user_id)
    await stage.act(JoinParty, stage.person(WRITE), party_id, user_id=bob.user_id)
    assert stage.role(party_id, bob) is Role.MEMBER


async def test_a_member_leaves(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob)
    await stage.act(LeaveParty, bob, party_id)
    assert (stage.role(party_id, bob), stage.party(party_id).member_count) == (None, 1)
    assert stage.told[-1] == "member_left"
    assert stage.last == {"user_id": str(bob.user_id), "reason": "left"}
    assert stage.party(party_id).version == 1


async def test_a_stranger_cannot_leave(stage: Stage, ada: Actor, bob: Actor) -> None:
    with pytest.raises(NotAMember):
        await stage.act(LeaveParty, bob, await stage.found(ada))
    with pytest.raises(NotFound):
        await stage.act(LeaveParty, bob, await stage.found_private(ada))
    with pytest.raises(NotFound):
        await stage.act(LeaveParty, bob, PartyId(uuid7()))


async def test_an_owner_who_leaves_hands_over_to_the_longest_serving_officer(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found(ada)
    dora = stage.person()
    await stage.join(party_id, bob)
    await stage.join(party_id, cleo, dora, role=Role.OFFICER)
    await stage.act(LeaveParty, ada, party_id)
    assert stage.party(party_id).owner_id == cleo.user_id
    assert [stage.role(party_id, one) for one in (ada, bob, cleo, dora)] == [
        None,
        Role.MEMBER,
        Role.OWNER,
        Role.OFFICER,
    ]
    assert stage.told[-2:] == ["member_left", "owner_changed"]
    assert stage.last == {"owner_id": str(cleo.user_id)}
    assert stage.party(party_id).version == 2
    assert stage.party(party_id).updated_at == stage.clock.now


async def test_without_officers_it_is_the_longest_serving_member(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, cleo, bob)
    await stage.act(LeaveParty, ada, party_id)
    assert stage.party(party_id).owner_id == cleo.user_id


async def test_the_last_one_out_ends_the_party(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    await stage.invite(party_id, bob)
    await stage.act(LeaveParty, ada, party_id)
    assert (stage.store.parties, stage.store.members, stage.store.invitations) == ({}, {}, {})
    assert stage.told[-2:] == ["member_left", "party_ended"]


async def test_officers_kick_plain_members_and_the_owner_anybody_else(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found(ada)
    dora = stage.person()
    await stage.join(party_id, bob, cleo, role=Role.OFFICER)
    await stage.join(party_id, dora)
    for rude, target in ((bob, cleo), (bob, bob), (dora, cleo), (dora, ada), (stage.person(), dora)):
        with pytest.raises(RoleNeeded):
            await stage.act(KickMember, rude, party_id, user(target))
    await stage.act(KickMember, bob, party_id, user(dora))
    assert stage.last == {"user_id": str(dora.user_id), "reason": "kicked"}
    await stage.act(KickMember, ada, party_id, user(cleo))
    assert {key[1] for key in stage.store.members} == {ada.user_id, bob.user_id}
    assert stage.party(party_id).member_count == 2


async def test_nobody_kicks_the_owner(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob, role=Role.OFFICER)
    for one in (ada, bob, stage.person(WRITE)):
        with pytest.raises(PartyOwner):
            await stage.act(KickMember, one, party_id, user(ada))


async def test_whom_one_kicks_must_be_there(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    for one in (ada, stage.person()):
        with pytest.raises(NotFound):
            await stage.act(KickMember, one, party_id, user(bob))


async def test_the_owner_makes_officers_and_members(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob)
    await stage.act(ChangeRole, ada, party_id, user(bob), Role.OFFICER)
    assert stage.last == {"user_id": str(bob.user_id), "role": "officer"}
    before = stage.told
    await stage.act(ChangeRole, ada, party_id, user(bob), Role.OFFICER)
    assert stage.told == before
    await stage.act(ChangeRole, ada, party_id, user(bob), Role.MEMBER)
    assert (stage.role(party_id, bob), stage.told[-1]) == (Role.MEMBER, "member_role_changed")


async def test_only_the_owner_changes_roles_and_never_the_owners(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob, role=Role.OFFICER)
    await stage.join(party_id, cleo)
    for one, target in ((bob, cleo), (cleo, cleo), (bob, ada), (stage.person(), cleo)):
        with pytest.raises(RoleNeeded):
            await stage.act(ChangeRole, one, party_id, user(target), Role.OFFICER)
    with pytest.raises(PartyOwner):
        await stage.act(ChangeRole, ada, party_id, user(ada), Role.MEMBER)
    with pytest.raises(PartyOwner):
        await stage.act(ChangeRole, ada, party_id, user(cleo), Role.OWNER)
    with pytest.raises(NotFound):
        await stage.act(ChangeRole, bob, party_id, UserId(uuid7()), Role.MEMBER)


async def test_the_owner_hands_over_and_stays_an_officer(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob)
    party = await stage.act(HandOver, ada, party_id, user(bob))
    assert party == stage.party(party_id)
    assert (party.owner_id, party.version) == (bob.user_id, 2)
    assert [stage.role(party_id, one) for one in (ada, bob)] == [Role.OFFICER, Role.OWNER]
    assert stage.told[-1] == "owner_changed"
    assert (await stage.act(HandOver, bob, party_id, user(bob))).version == 2


async def test_a_party_is_handed_over_by_its_owner_to_an_active_member_alone(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found(ada)
    gone = stage.person()
    await stage.join(party_id, bob, role=Role.OFFICER)
    await stage.join(party_id, gone)
    stage.database.store.identity.users[user(gone)].status = UserStatus.DISABLED
    with pytest.raises(RoleNeeded):
        await stage.act(HandOver, bob, party_id, user(bob))
    with pytest.raises(NotAMember):
        await stage.act(HandOver, ada, party_id, user(cleo))
    for unknown in (user(gone), UserId(uuid7())):
        with pytest.raises(UnknownUser):
            await stage.act(HandOver, ada, party_id, unknown)
    assert stage.party(party_id).owner_id == ada.user_id
