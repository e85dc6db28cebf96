"""Bans: who is kept out, by whom, and what goes with it."""

import pytest

from parlor.core.identity.model import UserStatus
from parlor.core.parties.bans import BanUser, LiftBan
from parlor.core.parties.membership import JoinParty
from parlor.core.parties.model import Ban, InvitationStatus, PartyOwner, Role, RoleNeeded
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import UserId, uuid7
from tests.unit.parties.stage import Stage, user


async def test_a_ban_removes_the_member(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob)
    await stage.act(BanUser, ada, party_id, user(bob))
    ban = Ban(party_id, user(bob), user(ada), stage.clock.now)
    assert stage.store.bans == {(party_id, user(bob)): ban}
    assert (stage.role(party_id, bob), stage.party(party_id).member_count) == (None, 1)
    assert stage.told[-2:] == ["member_left", "user_banned"]
    assert stage.database.store.facts[-2].body["reason"] == "banned"


async def test_a_ban_takes_a_pending_invitation_back(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found_private(ada)
    invitation_id = await stage.invite(party_id, bob)
    await stage.act(BanUser, ada, party_id, user(bob))
    assert stage.invitation(invitation_id).status is InvitationStatus.REVOKED
    assert stage.told[-2:] == ["invitation_revoked", "user_banned"]
    with pytest.raises(NotFound):
        await stage.act(JoinParty, bob, party_id)


async def test_a_ban_of_a_stranger_stands_once(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    for _ in range(2):
        await stage.act(BanUser, ada, party_id, user(bob))
    assert stage.told[1:] == ["user_banned"]


async def test_officers_ban_plain_members_and_strangers(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found(ada)
    dora = stage.person()
    await stage.join(party_id, bob, cleo, role=Role.OFFICER)
    await stage.join(party_id, dora)
    for rude, target in ((bob, cleo), (bob, bob), (dora, bob), (dora, ada), (stage.person(), dora)):
        with pytest.raises(RoleNeeded):
            await stage.act(BanUser, rude, party_id, user(target))
    for one in (ada, bob):
        with pytest.raises(PartyOwner):
            await stage.act(BanUser, one, party_id, user(ada))
    await stage.act(BanUser, bob, party_id, user(dora))
    await stage.act(BanUser, bob, party_id, user(stage.person()))
    await stage.act(BanUser, ada, party_id, user(cleo))


async def test_whom_nobody_knows_is_not_banned_but_a_disabled_account_is(stage: Stage, ada: Actor) -> None:
    party_id = await stage.found(ada)
    with pytest.raises(NotFound):
        await stage.act(BanUser, ada, party_id, UserId(uuid7()))
    await stage.act(BanUser, ada, party_id, user(stage.person(status=UserStatus.DISABLED)))


async def test_who_was_banned_may_come_again_once_it_is_lifted(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, cleo)
    await stage.act(BanUser, ada, party_id, user(bob))
    with pytest.raises(RoleNeeded):
        await stage.act(LiftBan, cleo, party_id, user(bob))
    for _ in range(2):
        await stage.act(LiftBan, ada, party_id, user(bob))
    assert stage.told.count("ban_lifted") == 1
    await stage.act(JoinParty, bob, party_id)


async def test_a_private_partys_bans_are_not_there_for_strangers(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found_private(ada)
    for use_case in (BanUser, LiftBan):
        with pytest.raises(NotFound):
            await stage.act(use_case, bob, party_id, user(cleo))
