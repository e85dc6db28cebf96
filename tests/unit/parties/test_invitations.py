"""Invitations: sent, answered, taken back, and too late."""

from collections.abc import Callable
from typing import Any

import pytest

from parlor.core.identity.model import UserStatus
from parlor.core.parties.bans import BanUser
from parlor.core.parties.invitations import (
    AcceptInvitation,
    DeclineInvitation,
    InviteGuest,
    RevokeInvitation,
    Sent,
)
from parlor.core.parties.membership import LeaveParty
from parlor.core.parties.model import (
    INVITATION_LIFE,
    AlreadyMember,
    Banned,
    Invitation,
    InvitationEnded,
    InvitationExpired,
    InvitationStatus,
    NotYourInvitation,
    PartyFull,
    Role,
    RoleNeeded,
)
from parlor.core.parties.use_cases import EndParty
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound, UnknownUser
from parlor.core.shared.ids import InvitationId, UserId, uuid7
from tests.builders import a_key
from tests.unit.parties.stage import MINUTE, Stage, user

ANSWERS: list[Callable[..., Any]] = [AcceptInvitation, DeclineInvitation]


async def test_a_leader_invites(stage: Stage, ada: Actor, bob: Actor, cleo: Actor) -> None:
    party_id = await stage.found_private(ada)
    await stage.join(party_id, bob, role=Role.OFFICER)
    sent = await stage.act(InviteGuest, bob, party_id, user(cleo))
    now = stage.clock.now
    assert sent == Sent(sent.invitation_id, status=201)
    assert stage.invitation(sent.invitation_id) == Invitation(
        sent.invitation_id, party_id, user(bob), user(cleo), now, now + INVITATION_LIFE
    )
    assert stage.told[-1] == "invitation_sent"
    assert stage.last == {
        "invitation_id": str(sent.invitation_id),
        "inviter_id": str(bob.user_id),
        "guest_id": str(cleo.user_id),
    }
    assert stage.role(party_id, cleo) is None


async def test_a_plain_member_does_not_invite(stage: Stage, ada: Actor, bob: Actor, cleo: Actor) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob)
    for one in (bob, stage.person()):
        with pytest.raises(RoleNeeded):
            await stage.act(InviteGuest, one, party_id, user(cleo))
    with pytest.raises(NotFound):
        await stage.act(InviteGuest, bob, await stage.found_private(ada), user(cleo))


async def test_whoever_has_a_pending_invitation_keeps_it(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob, role=Role.OFFICER)
    first = await stage.invite(party_id, cleo)
    again = await stage.act(InviteGuest, bob, party_id, user(cleo))
    assert again == Sent(first, status=200)
    assert stage.invitation(first).inviter_id == ada.user_id
    assert stage.told.count("invitation_sent") == 2


async def test_a_repeated_request_is_answered_as_the_first(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    first = await stage.act(InviteGuest, ada, party_id, user(bob), once=a_key("1"))
    other = await stage.act(InviteGuest, ada, party_id, user(bob), once=a_key("2"))
    again = [await stage.act(InviteGuest, ada, party_id, user(bob), once=a_key(key)) for key in "12"]
    assert other == Sent(first.invitation_id, 200)
    assert again == [Sent(first.invitation_id, status, replayed=True) for status in (201, 200)]


async def test_an_expired_invitation_makes_room_for_another(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    first = await stage.invite(party_id, bob)
    stage.clock.now += INVITATION_LIFE
    second = await stage.invite(party_id, bob)
    statuses = [stage.invitation(one).status for one in (first, second)]
    assert statuses == [InvitationStatus.EXPIRED, InvitationStatus.PENDING]


async def test_who_is_unknown_disabled_banned_or_a_member_is_not_invited(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob)
    await stage.act(BanUser, ada, party_id, user(cleo))
    disabled = stage.person(status=UserStatus.DISABLED)
    for guest, error in (
        (user(disabled), UnknownUser),
        (UserId(uuid7()), UnknownUser),
        (user(cleo), Banned),
        (user(bob), AlreadyMember),
        (user(ada), AlreadyMember),
    ):
        with pytest.raises(error):
            await stage.act(InviteGuest, ada, party_id, guest, once=a_key())
    assert stage.database.store.once == {}


async def test_a_guest_accepts(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found_private(ada)
    invitation_id = await stage.invite(party_id, bob)
    seat = await stage.act(AcceptInvitation, bob, invitation_id)
    assert seat == stage.store.members[party_id, user(bob)]
    assert stage.invitation(invitation_id).status is InvitationStatus.ACCEPTED
    assert stage.party(party_id).member_count == 2
    assert stage.told[-2:] == ["invitation_accepted", "member_joined"]


async def test_a_guest_declines(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found_private(ada)
    invitation_id = await stage.invite(party_id, bob)
    await stage.act(DeclineInvitation, bob, invitation_id)
    assert stage.invitation(invitation_id).status is InvitationStatus.DECLINED
    assert stage.told[-1] == "invitation_declined"
    assert stage.role(party_id, bob) is None


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.__name__)
async def test_only_the_guest_answers(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor, answer: Callable[..., Any]
) -> None:
    party_id = await stage.found_private(ada)
    await stage.join(party_id, cleo)
    invitation_id = await stage.invite(party_id, bob)
    with pytest.raises(NotYourInvitation):
        await stage.act(answer, ada, invitation_id)
    for stranger in (cleo, stage.person()):
        with pytest.raises(NotFound):
            await stage.act(answer, stranger, invitation_id)
    with pytest.raises(NotFound):
        await stage.act(answer, bob, InvitationId(uuid7()))
    assert stage.invitation(invitation_id).status is InvitationStatus.PENDING


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.__name__)
async def test_an_invitation_is_answered_once(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor, answer: Callable[..., Any]
) -> None:
    party_id = await stage.found_private(ada)
    answered, revoked = await stage.invite(party_id, bob), await stage.invite(party_id, cleo)
    await stage.act(answer, bob, answered)
    await stage.act(RevokeInvitation, ada, revoked)
    for again in ANSWERS:
        with pytest.raises(InvitationEnded):
            await stage.act(again, bob, answered)
        with pytest.raises(InvitationEnded):
            await stage.act(again, cleo, revoked)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.__name__)
async def test_an_invitation_is_good_until_it_expires(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor, answer: Callable[..., Any]
) -> None:
    party_id = await stage.found_private(ada)
    in_time, too_late = await stage.invite(party_id, bob), await stage.invite(party_id, cleo)
    stage.clock.now = stage.invitation(in_time).expires_at - 2 * MINUTE
    await stage.act(answer, bob, in_time)
    stage.clock.now = stage.invitation(too_late).expires_at - MINUTE
    with pytest.raises(InvitationExpired):
        await stage.act(answer, cleo, too_late)


async def test_a_full_party_leaves_the_invitation_pending(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found_private(ada, capacity=1)
    invitation_id = await stage.invite(party_id, bob)
    with pytest.raises(PartyFull):
        await stage.act(AcceptInvitation, bob, invitation_id)
    assert stage.invitation(invitation_id).status is InvitationStatus.PENDING


async def test_a_disabled_guest_takes_no_seat(stage: Stage, ada: Actor, bob: Actor) -> None:
    invitation_id = await stage.invite(await stage.found_private(ada), bob)
    stage.database.store.identity.users[user(bob)].status = UserStatus.DISABLED
    with pytest.raises(NotFound):
        await stage.act(AcceptInvitation, bob, invitation_id)


async def test_with_the_party_its_invitations_are_gone(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found_private(ada)
    invitation_id = await stage.invite(party_id, bob)
    await stage.act(EndParty, ada, party_id)
    with pytest.raises(NotFound):
        await stage.act(AcceptInvitation, bob, invitation_id)


async def test_an_invitation_is_taken_back_by_who_sent_it_or_a_leader(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found_private(ada)
    dora = stage.person()
    await stage.join(party_id, bob, role=Role.OFFICER)
    await stage.join(party_id, dora)
    sent = await stage.invite(party_id, cleo, by=bob)
    with pytest.raises(RoleNeeded):
        await stage.act(RevokeInvitation, cleo, sent)
    for stranger in (dora, stage.person()):
        with pytest.raises(NotFound):
            await stage.act(RevokeInvitation, stranger, sent)
    await stage.act(LeaveParty, bob, party_id)
    await stage.act(RevokeInvitation, bob, sent)
    assert stage.invitation(sent).status is InvitationStatus.REVOKED
    assert stage.told[-1] == "invitation_revoked"
    before = stage.told
    await stage.act(RevokeInvitation, ada, sent)
    assert stage.told == before


async def test_an_expired_invitation_stays_so_when_it_is_taken_back(
    stage: Stage, ada: Actor, bob: Actor
) -> None:
    invitation_id = await stage.invite(await stage.found_private(ada), bob)
    stage.clock.now = stage.invitation(invitation_id).expires_at
    before = stage.told
    for _ in range(2):
        await stage.act(RevokeInvitation, ada, invitation_id)
        with pytest.raises(InvitationExpired):
            await stage.act(AcceptInvitation, bob, invitation_id)
        stage.invitation(invitation_id).status = InvitationStatus.EXPIRED
    assert stage.told == before


async def test_what_was_answered_is_not_taken_back(stage: Stage, ada: Actor, bob: Actor, cleo: Actor) -> None:
    party_id = await stage.found_private(ada)
    accepted, declined = await stage.invite(party_id, bob), await stage.invite(party_id, cleo)
    await stage.act(AcceptInvitation, bob, accepted)
    await stage.act(DeclineInvitation, cleo, declined)
    for one in (accepted, declined):
        with pytest.raises(InvitationEnded):
            await stage.act(RevokeInvitation, ada, one)
