"""A deleted account leaves every party."""

import pytest

from parlor.core.parties import farewell
from parlor.core.parties.farewell import LeaveEveryParty
from parlor.core.parties.model import InvitationStatus, Role
from parlor.core.shared.actor import Actor
from parlor.core.shared.ids import UserId, uuid7
from tests.unit.parties.stage import Stage, user


async def test_who_is_gone_leaves_every_party_by_the_hand_over_rule(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    owned, alone, joined, other = [await stage.found(one) for one in (ada, ada, bob, bob)]
    await stage.join(owned, bob, cleo)
    await stage.join(joined, ada, cleo)
    await stage.act(LeaveEveryParty, user(ada))
    assert stage.party(owned).owner_id == bob.user_id
    assert alone not in stage.store.parties
    assert [stage.party(one).member_count for one in (owned, joined, other)] == [2, 2, 1]
    assert [one.name for one in stage.database.store.facts if one.body.get("reason") == "deleted"] == [
        "parties.member_left"
    ] * 3


async def test_who_is_gone_is_nobodys_guest_any_more(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found_private(ada)
    invitation_id = await stage.invite(party_id, bob)
    await stage.act(LeaveEveryParty, user(bob))
    assert stage.invitation(invitation_id).status is InvitationStatus.REVOKED
    assert stage.party(party_id).member_count == 1


async def test_however_many_parties_there_are_and_however_often_it_is_called(
    stage: Stage, ada: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "BATCH", 2)
    parties = [await stage.found(bob) for _ in range(5)]
    for party_id in parties:
        await stage.join(party_id, ada)
    for _ in range(2):
        await stage.act(LeaveEveryParty, user(ada))
    assert {stage.role(party_id, bob) for party_id in parties} == {Role.OWNER}
    assert len(stage.store.members) == 5
    assert stage.told.count("member_left") == 5
    await stage.act(LeaveEveryParty, UserId(uuid7()))
