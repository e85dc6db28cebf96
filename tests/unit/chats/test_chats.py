"""Chats as a whole: opened, renamed, ended, and by whom."""

import pytest

from parlor.core.chats.changes import ChangeKind
from parlor.core.chats.model import (
    MAX_MEMBERS,
    ChatChanges,
    ChatKind,
    ChatRole,
    DirectChat,
    InvalidMembers,
    NewChat,
    NotChatOwner,
)
from parlor.core.identity.model import UserStatus
from parlor.core.shared.actor import SYSTEM, Actor, ActorKind, PersonRequired
from parlor.core.shared.errors import NotFound, Stale, UnknownUser
from parlor.core.shared.ids import ChatId, UserId, uuid7
from parlor.core.shared.preconditions import Expected
from tests.builders import a_key
from tests.unit.chats.stage import Stage, id_of

STRANGER = UserId(uuid7())


async def test_a_group_is_its_founders_and_begins_at_nothing(stage: Stage, ada: Actor, bob: Actor) -> None:
    chat_id = await stage.group(ada, bob)
    chat, head = stage.store.chats[chat_id], stage.store.heads[chat_id]
    assert (chat.kind, chat.title, chat.member_count, chat.version) == (ChatKind.GROUP, "Fans", 2, 1)
    assert (head.last_seq, head.last_rev) == (0, 0)
    assert stage.member(chat_id, ada).role is ChatRole.OWNER
    assert stage.member(chat_id, bob).role is ChatRole.MEMBER
    assert stage.told() == []
    (fact,) = stage.database.store.facts
    assert (fact.name, fact.body["kind"], fact.subject) == ("chats.chat_opened", "group", chat_id)


async def test_its_founder_need_not_be_named_and_nobody_is_in_it_twice(
    stage: Stage, ada: Actor, bob: Actor
) -> None:
    ids = [id_of(one) for one in (bob, ada, bob)]
    opened = await stage.open(ada, NewChat(ChatKind.GROUP, member_ids=ids))
    assert stage.store.chats[opened.chat_id].member_count == 2


async def test_two_people_have_one_direct_chat_that_nobody_owns(stage: Stage, ada: Actor, bob: Actor) -> None:
    first = await stage.open(ada, NewChat(ChatKind.DIRECT, member_ids=[id_of(bob)]))
    again = await stage.open(bob, NewChat(ChatKind.DIRECT, member_ids=[id_of(ada)]))
    assert (first.status, again.status, first.chat_id) == (201, 200, again.chat_id)
    assert {stage.member(first.chat_id, one).role for one in (ada, bob)} == {ChatRole.MEMBER}


async def test_a_direct_chat_stays_the_same_one_when_the_others_account_is_no_more(
    stage: Stage, ada: Actor, bob: Actor
) -> None:
    chat_id = await stage.direct(ada, bob)
    stage.database.store.identity.users[id_of(bob)].status = UserStatus.DISABLED
    again = await stage.open(ada, NewChat(ChatKind.DIRECT, member_ids=[id_of(bob)]))
    assert (again.chat_id, again.status) == (chat_id, 200)
    del stage.database.store.identity.users[id_of(bob)]
    assert await stage.direct(ada, bob) == chat_id


async def test_a_direct_chat_is_with_exactly_one_other_and_has_no_title(stage: Stage, ada: Actor) -> None:
    others: list[list[UserId]] = [[], [id_of(ada)], [UserId(uuid7()), UserId(uuid7())]]
    for ids in others:
        with pytest.raises(InvalidMembers) as refused:
            await stage.open(ada, NewChat(ChatKind.DIRECT, member_ids=ids))
        assert [flaw.pointer for flaw in refused.value.flaws] == ["/member_ids"]
    with pytest.raises(InvalidMembers) as refused:
        await stage.open(ada, NewChat(ChatKind.DIRECT, "Us", [UserId(uuid7())]))
    assert [flaw.pointer for flaw in refused.value.flaws] == ["/title"]


async def test_a_group_has_256_members_at_most(stage: Stage, ada: Actor) -> None:
    ids = [UserId(uuid7()) for _ in range(MAX_MEMBERS)]
    with pytest.raises(InvalidMembers):
        await stage.open(ada, NewChat(ChatKind.GROUP, member_ids=ids))
    with pytest.raises(UnknownUser):
        await stage.open(ada, NewChat(ChatKind.GROUP, member_ids=ids[1:]))


async def test_everybody_who_is_unknown_or_disabled_is_named(stage: Stage, ada: Actor, bob: Actor) -> None:
    stage.database.store.identity.users[id_of(bob)].status = UserStatus.DISABLED
    with pytest.raises(UnknownUser) as refused:
        await stage.open(ada, NewChat(ChatKind.GROUP, member_ids=[id_of(ada), STRANGER, id_of(bob)]))
    assert [flaw.pointer for flaw in refused.value.flaws] == ["/member_ids/1", "/member_ids/2"]
    assert stage.store.chats == {}


async def test_a_repetition_is_answered_as_the_first(stage: Stage, ada: Actor, bob: Actor) -> None:
    new = NewChat(ChatKind.DIRECT, member_ids=[id_of(bob)])
    there = await stage.direct(bob, ada)
    for replayed in (False, True):
        opened = await stage.open(ada, new, once=a_key())
        assert (opened.chat_id, opened.status, opened.replayed) == (there, 200, replayed)


async def test_chats_are_for_people(stage: Stage, ada: Actor) -> None:
    """Whatever the route: who is no person is told so before anything is looked up."""
    key = Actor(ActorKind.API_KEY, id=uuid7(), user_id=ada.user_id)
    absent, nobody = ChatId(uuid7()), UserId(uuid7())
    for actor in (key, SYSTEM):
        for asked in (
            stage.open(actor, NewChat(ChatKind.GROUP)),
            stage.rename(actor, absent, ChatChanges(named=True)),
            stage.end(actor, absent),
            stage.add(actor, absent, nobody),
            stage.remove(actor, absent, nobody),
            stage.read(actor, absent, 1),
            stage.post(actor, absent, "hi"),
        ):
            with pytest.raises(PersonRequired):
                await asked


async def test_only_its_owner_renames_a_group_and_only_as_they_know_it(
    stage: Stage, ada: Actor, bob: Actor, eve: Actor
) -> None:
    chat_id = await stage.group(ada, bob)
    other = ChatChanges(named=True, title="Other")
    with pytest.raises(NotFound):
        await stage.rename(eve, chat_id, other)
    with pytest.raises(NotChatOwner):
        await stage.rename(bob, chat_id, other)
    with pytest.raises(Stale):
        await stage.rename(ada, chat_id, other, expected=Expected(frozenset({2})))
    await stage.rename(ada, chat_id, other, expected=Expected(frozenset({1})))
    assert (stage.store.chats[chat_id].title, stage.store.chats[chat_id].version) == ("Other", 2)


async def test_the_same_title_is_no_change_and_none_takes_it_away(stage: Stage, ada: Actor) -> None:
    chat_id = await stage.group(ada)
    for same in (ChatChanges(), ChatChanges(named=True, title="Fans")):
        await stage.rename(ada, chat_id, same)
        assert stage.store.chats[chat_id].version == 1
    await stage.rename(ada, chat_id, ChatChanges(named=True))
    assert (stage.store.chats[chat_id].title, stage.store.chats[chat_id].version) == (None, 2)


async def test_its_owner_ends_a_group_for_everybody(stage: Stage, ada: Actor, bob: Actor) -> None:
    chat_id = await stage.group(ada, bob)
    with pytest.raises(NotChatOwner):
        await stage.end(bob, chat_id)
    await stage.end(ada, chat_id)
    assert stage.told() == [(ChangeKind.ENDED, 1)]
    assert [fact.name for fact in stage.database.store.facts] == ["chats.chat_opened", "chats.chat_ended"]
    for one in (ada, bob):
        with pytest.raises(NotFound):
            await stage.post(one, chat_id, "hi")


async def test_a_direct_chat_is_neither_renamed_nor_ended_nor_left(
    stage: Stage, ada: Actor, bob: Actor
) -> None:
    chat_id = await stage.direct(ada, bob)
    for asked in (
        stage.rename(ada, chat_id, ChatChanges(named=True, title="x")),
        stage.end(ada, chat_id),
        stage.add(ada, chat_id, STRANGER),
        stage.remove(ada, chat_id, id_of(bob)),
        stage.remove(ada, chat_id, id_of(ada)),
    ):
        with pytest.raises(DirectChat):
            await asked
