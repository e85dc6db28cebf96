"""Services: a key acts on any party that its scope names, and says for whom."""

from collections.abc import Callable
from typing import Any

import pytest

from parlor.core.parties.access import (
    MANAGE,
    READ,
    WRITE,
    UserRequired,
    admit_reader,
    person_of,
    sees_any,
)
from parlor.core.parties.bans import BanUser, LiftBan
from parlor.core.parties.invitations import (
    AcceptInvitation,
    DeclineInvitation,
    InviteGuest,
    RevokeInvitation,
)
from parlor.core.parties.membership import ChangeRole, HandOver, JoinParty, KickMember, LeaveParty
from parlor.core.parties.model import Changes, InvitationStatus, NewParty, PartyOwner, Role, Visibility
from parlor.core.parties.use_cases import ChangeParty, EndParty, FoundParty
from parlor.core.shared.actor import Actor, PermissionMissing
from parlor.core.shared.ids import InvitationId, PartyId, UserId, uuid7
from tests.builders import a_service, an_actor
from tests.unit.parties.stage import Stage, user

PARTY, USER, INVITATION = PartyId(uuid7()), UserId(uuid7()), InvitationId(uuid7())
CALLS: list[tuple[Callable[..., Any], tuple[object, ...]]] = [
    (FoundParty, (NewParty("Dragons"),)),
    (ChangeParty, (PARTY, Changes())),
    (EndParty, (PARTY,)),
    (JoinParty, (PARTY,)),
    (LeaveParty, (PARTY,)),
    (KickMember, (PARTY, USER)),
    (ChangeRole, (PARTY, USER, Role.OFFICER)),
    (HandOver, (PARTY, USER)),
    (InviteGuest, (PARTY, USER)),
    (AcceptInvitation, (INVITATION,)),
    (DeclineInvitation, (INVITATION,)),
    (RevokeInvitation, (INVITATION,)),
    (BanUser, (PARTY, USER)),
    (LiftBan, (PARTY, USER)),
]


@pytest.mark.parametrize(("use_case", "given"), CALLS, ids=lambda one: getattr(one, "__name__", ""))
async def test_a_key_without_the_scope_is_refused_before_any_id_is_looked_at(
    stage: Stage, use_case: Callable[..., Any], given: tuple[object, ...]
) -> None:
    for scopes in ((), (READ,), ("tasks:create",)):
        with pytest.raises(PermissionMissing):
            await stage.act(use_case, a_service(*scopes), *given)


async def test_a_key_must_name_whom_it_founds_joins_and_leaves_for(stage: Stage, ada: Actor) -> None:
    """Its maker is not meant."""
    party_id, key = await stage.found(ada), a_service(WRITE)
    for use_case, given, pointer in (
        (FoundParty, NewParty("Dragons"), "/owner_id"),
        (JoinParty, party_id, "/user_id"),
        (LeaveParty, party_id, "/user_id"),
    ):
        with pytest.raises(UserRequired) as refused:
            await stage.act(use_case, key, given)
        assert [(flaw.pointer, flaw.code) for flaw in refused.value.flaws] == [(pointer, "user_required")]


async def test_a_key_acts_on_any_party(stage: Stage, ada: Actor, bob: Actor, cleo: Actor) -> None:
    key = a_service(WRITE)
    made = await stage.act(
        FoundParty, key, NewParty("Dragons", visibility=Visibility.PRIVATE), owner_id=ada.user_id
    )
    party_id = made.party_id
    await stage.act(JoinParty, key, party_id, user_id=bob.user_id)
    await stage.act(ChangeParty, key, party_id, Changes("Wizards"))
    await stage.act(ChangeRole, key, party_id, user(bob), Role.OFFICER)
    await stage.act(HandOver, key, party_id, user(bob))
    await stage.act(LeaveParty, key, party_id, user_id=ada.user_id)
    assert (stage.role(party_id, bob), stage.party(party_id).name) == (Role.OWNER, "Wizards")
    with pytest.raises(PartyOwner):
        await stage.act(KickMember, key, party_id, user(bob))
    await stage.act(BanUser, key, party_id, user(cleo))
    assert stage.store.bans[party_id, user(cleo)].banned_by is None
    await stage.act(LiftBan, key, party_id, user(cleo))
    await stage.act(EndParty, key, party_id)
    assert stage.store.parties == {}


async def test_a_key_invites_for_the_owner_and_answers_for_the_guest(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    key, party_id = a_service(WRITE), await stage.found_private(ada)
    first, second = [await stage.invite(party_id, guest, by=key) for guest in (bob, cleo)]
    assert stage.invitation(first).inviter_id == ada.user_id
    await stage.act(AcceptInvitation, key, first)
    await stage.act(DeclineInvitation, key, second)
    third = await stage.invite(party_id, cleo, by=key)
    await stage.act(RevokeInvitation, key, third)
    assert (stage.role(party_id, bob), stage.role(party_id, cleo)) == (Role.MEMBER, None)
    assert [stage.invitation(one).status for one in (second, third)] == [
        InvitationStatus.DECLINED,
        InvitationStatus.REVOKED,
    ]


async def test_a_key_that_only_manages_ends_parties_and_does_nothing_else(stage: Stage, ada: Actor) -> None:
    key, party_id = a_service(MANAGE), await stage.found_private(ada)
    with pytest.raises(PermissionMissing):
        await stage.act(ChangeParty, key, party_id, Changes("Wizards"))
    await stage.act(EndParty, key, party_id)


def test_who_may_look_at_any_party() -> None:
    for permission in (READ, WRITE, MANAGE):
        assert sees_any(an_actor(permission))
        admit_reader(a_service(permission))
    assert not sees_any(an_actor("tasks:create"))
    admit_reader(an_actor())
    with pytest.raises(PermissionMissing):
        admit_reader(a_service("tasks:create"))


def test_who_is_meant() -> None:
    me, other = an_actor(), UserId(uuid7())
    assert person_of(me, None, "/user_id") == person_of(me, me.user_id, "/user_id") == me.user_id
    with pytest.raises(PermissionMissing):
        person_of(me, other, "/user_id")
    for one in (an_actor(WRITE), a_service(WRITE)):
        assert person_of(one, other, "/user_id") == other
    maker = a_service(WRITE)
    assert person_of(maker, maker.user_id, "/user_id") == maker.user_id
