"""A party's chat follows its party, in the transaction in which the party changes."""

import pytest

from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.messages import MessageKind
from parlor.core.chats.model import ChatChanges, ChatKind, ChatRole, PartyChat
from parlor.core.games.events import CardDrawn
from parlor.core.parties.events import (
    MemberJoined,
    MemberLeft,
    OwnerChanged,
    PartyChanged,
    PartyEnded,
    PartyFounded,
)
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.events import Event
from parlor.core.shared.ids import ChatId, MessageId, PartyId, uuid7
from parlor.wiring.chats import chat_reactions
from tests.unit.chats.stage import Stage, id_of

PARTY, CHAT = PartyId(uuid7()), ChatId(uuid7())


@pytest.fixture
async def stage() -> Stage:
    return Stage(chat_reactions(publish_messages=False))


async def happened(stage: Stage, *events: Event) -> None:
    async with stage.database.work() as work:
        for event in events:
            work.publish(event)


@pytest.fixture
async def chat(stage: Stage, ada: Actor, bob: Actor) -> ChatId:
    founded = PartyFounded(PARTY, id_of(ada), "Fans", "public", 8, CHAT)
    await happened(stage, founded, MemberJoined(PARTY, id_of(bob)))
    return CHAT


async def test_a_party_has_a_chat_from_its_first_moment(
    stage: Stage, ada: Actor, bob: Actor, chat: ChatId
) -> None:
    opened = stage.store.chats[chat]
    assert (opened.kind, opened.title, opened.party_id, opened.member_count) == (
        ChatKind.PARTY,
        "Fans",
        PARTY,
        2,
    )
    assert stage.member(chat, ada).role is ChatRole.OWNER
    assert stage.member(chat, bob).role is ChatRole.MEMBER
    assert stage.store.changes == [Change(chat, 1, ChangeKind.JOINED, user_id=id_of(bob))]
    assert (await stage.post(bob, chat, "hi")).seq == 1, "a party's chat starts empty"


async def test_who_joins_a_party_is_in_its_chat_until_they_leave(
    stage: Stage, eve: Actor, chat: ChatId
) -> None:
    await happened(stage, MemberJoined(PARTY, id_of(eve)))
    await stage.says(eve, chat)
    for _ in range(2):
        await happened(stage, MemberLeft(PARTY, id_of(eve), "kicked"))
    with pytest.raises(NotFound):
        await stage.says(eve, chat)
    assert stage.store.chats[chat].member_count == 2


async def test_the_chat_is_called_what_its_party_is_called(stage: Stage, chat: ChatId) -> None:
    for _ in range(2):
        await happened(stage, PartyChanged(PARTY, "Other", "public", 8))
    assert (stage.store.chats[chat].title, stage.store.chats[chat].version) == ("Other", 2)


async def test_the_partys_owner_owns_the_chat(stage: Stage, ada: Actor, bob: Actor, chat: ChatId) -> None:
    await happened(stage, OwnerChanged(PARTY, id_of(bob)))
    assert stage.member(chat, ada).role is ChatRole.MEMBER
    await stage.delete(bob, chat, await stage.says(ada, chat))


async def test_a_party_takes_its_chat_with_it(stage: Stage, ada: Actor, chat: ChatId) -> None:
    await happened(stage, PartyEnded(PARTY))
    assert stage.store.chats == {}
    assert stage.last() == Change(chat, 2, ChangeKind.ENDED)
    with pytest.raises(NotFound):
        await stage.says(ada, chat)


async def test_its_members_cannot_change_it_by_themselves(
    stage: Stage, ada: Actor, bob: Actor, eve: Actor, chat: ChatId
) -> None:
    for asked in (
        stage.rename(ada, chat, ChatChanges(named=True, title="x")),
        stage.end(ada, chat),
        stage.add(ada, chat, id_of(eve)),
        stage.remove(ada, chat, id_of(bob)),
        stage.remove(bob, chat, id_of(bob)),
    ):
        with pytest.raises(PartyChat):
            await asked


@pytest.mark.parametrize("publish", [False, True])
async def test_a_card_stands_in_the_chat_as_nobodys_message(publish: bool) -> None:
    stage = Stage(chat_reactions(publish_messages=publish))
    ada, message_id = await stage.person(), MessageId(uuid7())
    founded = PartyFounded(PARTY, id_of(ada), "Fans", "public", 8, CHAT)
    await happened(stage, founded, CardDrawn(PARTY, id_of(ada), message_id, "dare", "Sing."))
    message = stage.message(message_id)
    assert (message.author_id, message.kind, message.text) == (None, MessageKind.SYSTEM, "Sing.")
    posted = [fact.body for fact in stage.database.store.facts if fact.name == "chats.message_posted"]
    told = {"chat_id": str(CHAT), "message_id": str(message_id), "seq": 1, "author_id": None}
    assert posted == ([told] if publish else [])


async def test_what_happens_to_a_party_without_a_chat_is_nothing(stage: Stage, ada: Actor) -> None:
    party, user_id = PartyId(uuid7()), id_of(ada)
    await happened(
        stage,
        MemberJoined(party, user_id),
        MemberLeft(party, user_id, "left"),
        PartyChanged(party, "x", "public", 8),
        OwnerChanged(party, user_id),
        CardDrawn(party, user_id, MessageId(uuid7()), "dare", "Sing."),
        PartyEnded(party),
    )
    assert stage.store.changes == []
