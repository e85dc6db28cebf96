"""Parties as a whole: founded, changed, ended."""

from dataclasses import replace
from typing import Any

import pytest

from parlor.core.identity.model import UserStatus
from parlor.core.parties.access import MANAGE, WRITE
from parlor.core.parties.model import (
    CapacityBelowMembers,
    Changes,
    Membership,
    NewParty,
    Role,
    RoleNeeded,
    Visibility,
    folded,
)
from parlor.core.parties.use_cases import ChangeParty, EndParty, FoundParty
from parlor.core.shared.actor import Actor, PermissionMissing
from parlor.core.shared.errors import NotFound, Stale, UnknownUser
from parlor.core.shared.ids import PartyId, uuid7
from parlor.core.shared.preconditions import Expected
from tests.builders import a_key
from tests.unit.parties.stage import Stage, user


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Dragons", "Dragons"),
        ("  Red \u2003 Dragons\t", "Red Dragons"),
        ("Cafe\u0301", "Caf\u00e9"),
        (" \u3000 ", ""),
    ],
    ids=["plain", "white space", "composed", "nothing"],
)
def test_a_name_is_folded(given: str, kept: str) -> None:
    assert folded(given) == kept


async def test_a_founder_is_owner_and_first_member(stage: Stage, ada: Actor) -> None:
    made = await stage.act(FoundParty, ada, NewParty("Dragons", "On Tuesdays", Visibility.PRIVATE, 3))
    party = stage.party(made.party_id)
    assert made.party == party
    assert (party.name, party.description, party.visibility) == ("Dragons", "On Tuesdays", Visibility.PRIVATE)
    assert (party.capacity, party.member_count, party.owner_id) == (3, 1, ada.user_id)
    assert party.created_at == party.updated_at == stage.clock.now
    owner = Membership(party.id, user(ada), Role.OWNER, stage.clock.now)
    assert stage.store.members == {(party.id, user(ada)): owner}


async def test_a_new_party_is_told_with_the_chat_that_it_will_have(stage: Stage, ada: Actor) -> None:
    party_id = await stage.found(ada)
    assert stage.told == ["party_founded"]
    assert stage.last == {
        "owner_id": str(ada.user_id),
        "name": "Dragons",
        "visibility": "public",
        "capacity": 8,
        "chat_id": str(stage.party(party_id).chat_id),
    }


async def test_a_repeated_request_founds_one_party(stage: Stage, ada: Actor) -> None:
    first = await stage.act(FoundParty, ada, NewParty("Dragons"), once=a_key())
    again = await stage.act(FoundParty, ada, NewParty("Dragons"), once=a_key())
    assert (again.party_id, again.party) == (first.party_id, None)
    assert list(stage.store.parties) == [first.party_id]


async def test_nobody_founds_for_somebody_else_but_who_may_write_any_party(
    stage: Stage, ada: Actor, bob: Actor
) -> None:
    with pytest.raises(PermissionMissing):
        await stage.act(FoundParty, ada, NewParty("Dragons"), owner_id=bob.user_id)
    made = await stage.act(FoundParty, ada, NewParty("Dragons"), owner_id=ada.user_id)
    assert stage.party(made.party_id).owner_id == ada.user_id
    made = await stage.act(FoundParty, stage.person(WRITE), NewParty("Dragons"), owner_id=bob.user_id)
    assert stage.party(made.party_id).owner_id == bob.user_id


async def test_who_is_unknown_or_disabled_owns_nothing(stage: Stage) -> None:
    admin, disabled = stage.person(WRITE), stage.person(status=UserStatus.DISABLED)
    for owner_id in (disabled.user_id, uuid7()):
        with pytest.raises(UnknownUser) as refused:
            await stage.act(FoundParty, admin, NewParty("Dragons"), owner_id=owner_id, once=a_key())
        assert [flaw.pointer for flaw in refused.value.flaws] == ["/owner_id"]
    assert stage.store.parties == {}
    assert stage.database.store.once == {}


@pytest.mark.parametrize(
    "change",
    [{"name": "Wizards"}, {"description": "x"}, {"visibility": Visibility.PRIVATE}, {"capacity": 2}],
    ids=lambda change: next(iter(change)),
)
async def test_the_owner_changes_what_people_edit(stage: Stage, ada: Actor, change: dict[str, Any]) -> None:
    party_id = await stage.found(ada)
    before = replace(stage.party(party_id))
    changed = await stage.act(ChangeParty, ada, party_id, Changes(**change))
    assert changed == replace(before, **change, updated_at=stage.clock.now, version=2)
    assert stage.party(party_id) == changed
    assert stage.told[1:] == ["party_changed"]
    assert stage.last == {
        "name": changed.name,
        "visibility": changed.visibility,
        "capacity": changed.capacity,
    }


async def test_what_is_the_same_as_before_is_no_change(stage: Stage, ada: Actor) -> None:
    party_id = await stage.found(ada)
    before = replace(stage.party(party_id))
    for changes in (Changes(), Changes("Dragons", "", Visibility.PUBLIC, 8)):
        assert await stage.act(ChangeParty, ada, party_id, changes) == before
    assert stage.told == ["party_founded"]


async def test_officers_change_a_party_and_others_do_not(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob, role=Role.OFFICER)
    await stage.join(party_id, cleo)
    await stage.act(ChangeParty, bob, party_id, Changes("Wizards"))
    for other in (cleo, stage.person()):
        with pytest.raises(RoleNeeded):
            await stage.act(ChangeParty, other, party_id, Changes("Knights"))
    assert stage.party(party_id).name == "Wizards"


async def test_a_private_party_is_not_there_for_strangers_but_for_guests(
    stage: Stage, ada: Actor, bob: Actor, cleo: Actor
) -> None:
    party_id = await stage.found_private(ada)
    await stage.invite(party_id, bob)
    with pytest.raises(RoleNeeded):
        await stage.act(ChangeParty, bob, party_id, Changes("Knights"))
    for missing in (party_id, PartyId(uuid7())):
        with pytest.raises(NotFound):
            await stage.act(ChangeParty, cleo, missing, Changes("Knights"))


async def test_a_party_has_no_fewer_seats_than_members(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob)
    with pytest.raises(CapacityBelowMembers):
        await stage.act(ChangeParty, ada, party_id, Changes(name="Wizards", capacity=1))
    assert (stage.party(party_id).name, stage.party(party_id).capacity) == ("Dragons", 8)
    await stage.act(ChangeParty, ada, party_id, Changes(capacity=2))


async def test_a_party_is_changed_and_ended_only_as_one_has_read_it(stage: Stage, ada: Actor) -> None:
    party_id = await stage.found(ada)
    read = Expected(frozenset({1}))
    await stage.act(ChangeParty, ada, party_id, Changes("Wizards"), expected=read)
    with pytest.raises(Stale):
        await stage.act(ChangeParty, ada, party_id, Changes(capacity=9), expected=read)
    with pytest.raises(Stale):
        await stage.act(EndParty, ada, party_id, expected=read)
    await stage.act(EndParty, ada, party_id, expected=Expected(frozenset({2})))


async def test_a_stale_tag_comes_before_a_conflict_and_after_the_right(
    stage: Stage, ada: Actor, bob: Actor
) -> None:
    party_id = await stage.found(ada)
    await stage.join(party_id, bob)
    stale = Expected(frozenset({7}))
    with pytest.raises(Stale):
        await stage.act(ChangeParty, ada, party_id, Changes(capacity=1), expected=stale)
    with pytest.raises(RoleNeeded):
        await stage.act(ChangeParty, bob, party_id, Changes(capacity=1), expected=stale)


async def test_the_owner_or_who_manages_parties_ends_one(stage: Stage, ada: Actor, bob: Actor) -> None:
    party_id = await stage.found_private(ada)
    await stage.join(party_id, bob, role=Role.OFFICER)
    with pytest.raises(RoleNeeded):
        await stage.act(EndParty, bob, party_id)
    await stage.act(EndParty, ada, party_id)
    assert (stage.store.parties, stage.store.members, stage.store.invitations) == ({}, {}, {})
    assert stage.told[-1] == "party_ended"
    await stage.act(EndParty, stage.person(MANAGE), await stage.found_private(ada))
    await stage.act(EndParty, stage.person(WRITE), await stage.found_private(ada))
    with pytest.raises(NotFound):
        await stage.act(EndParty, stage.person(), await stage.found_private(ada))
