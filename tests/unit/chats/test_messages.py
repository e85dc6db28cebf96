"""Messages: posted, edited, deleted, reacted to."""

import json

import pytest

from parlor.core.chats.changes import ChangeKind
from parlor.core.chats.messages import (
    MAX_EMOJIS,
    ClientIdReused,
    MessageDeleted,
    NotYourMessage,
    TooManyReactions,
    UnknownMessage,
)
from parlor.core.chats.model import MODERATE
from parlor.core.shared.actor import Actor, ActorKind, PersonRequired
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ChatId, MessageId, uuid7
from tests.unit.chats.stage import Stage, id_of


@pytest.fixture
async def chat(stage: Stage, ada: Actor, bob: Actor) -> ChatId:
    return await stage.group(ada, bob)


async def test_messages_are_counted_without_a_hole_and_read_by_their_author(
    stage: Stage, ada: Actor, bob: Actor, eve: Actor, chat: ChatId
) -> None:
    for n in range(3):
        posted = await stage.post(bob, chat, str(n))
        assert (posted.seq, posted.rev, posted.new) == (n + 1, n + 1, True)
        with pytest.raises(NotFound):
            await stage.post(eve, chat, "hi")
    assert stage.store.unread(chat, id_of(bob)) == 0
    assert stage.store.unread(chat, id_of(ada)) == 3
    assert json.loads(stage.last().message)["text"] == "2"


async def test_a_reply_names_a_message_of_the_same_chat(stage: Stage, ada: Actor, chat: ChatId) -> None:
    elsewhere = await stage.says(ada, await stage.group(ada))
    one = await stage.says(ada, chat)
    posted = await stage.post(ada, chat, "yes", reply_to=one)
    assert stage.message(posted.id).reply_to == one
    for wrong in (elsewhere, MessageId(uuid7())):
        with pytest.raises(UnknownMessage) as refused:
            await stage.post(ada, chat, "yes", reply_to=wrong)
        assert [flaw.pointer for flaw in refused.value.flaws] == ["/reply_to"]


async def test_a_client_id_makes_a_message_repeatable(
    stage: Stage, ada: Actor, bob: Actor, chat: ChatId
) -> None:
    first = await stage.post(ada, chat, "one", client_id="c")
    again = await stage.post(ada, chat, "one", client_id="c")
    assert (again.id, again.new) == (first.id, False)
    with pytest.raises(ClientIdReused):
        await stage.post(ada, chat, "two", client_id="c")
    assert (await stage.post(bob, chat, "two", client_id="c")).new
    await stage.edit(ada, chat, first.id, "three")
    for text in ("one", "two", "three"):
        assert (await stage.post(ada, chat, text, client_id="c")).id == first.id
    await stage.delete(ada, chat, first.id)
    assert (await stage.post(ada, chat, "four", client_id="c")).id == first.id
    assert stage.store.heads[chat].last_seq == 2


async def test_an_edit_keeps_the_place_and_takes_a_rev(
    stage: Stage, ada: Actor, bob: Actor, chat: ChatId
) -> None:
    one = await stage.says(ada, chat, "one")
    await stage.says(ada, chat)
    with pytest.raises(NotYourMessage):
        await stage.edit(bob, chat, one, "x")
    stage.clock.advance(minutes=1)
    await stage.edit(ada, chat, one, "two")
    message = stage.message(one)
    assert (message.text, message.seq, message.rev, message.edited_at) == ("two", 1, 3, stage.clock())
    await stage.edit(ada, chat, one, "two")
    assert stage.told()[-1] == (ChangeKind.EDITED, 3)


async def test_a_deleted_message_is_its_place(stage: Stage, ada: Actor, bob: Actor, chat: ChatId) -> None:
    one = await stage.says(bob, chat, "secret")
    await stage.react(ada, chat, one, "👍")
    for _ in range(2):
        await stage.delete(bob, chat, one)
    message = stage.message(one)
    assert (message.text, message.reactions, message.seq, message.rev) == (None, {}, 1, 3)
    assert message.deleted_at == stage.clock()
    assert stage.told() == [(ChangeKind.CREATED, 1), (ChangeKind.REACTION, 2), (ChangeKind.DELETED, 3)]
    with pytest.raises(MessageDeleted):
        await stage.edit(bob, chat, one, "x")
    with pytest.raises(MessageDeleted):
        await stage.react(bob, chat, one, "👍")
    await stage.unreact(ada, chat, one, "👍")


async def test_the_owner_of_a_group_deletes_what_others_wrote_and_members_do_not(
    stage: Stage, ada: Actor, bob: Actor, chat: ChatId
) -> None:
    hers, his = await stage.says(ada, chat), await stage.says(bob, chat)
    with pytest.raises(NotYourMessage):
        await stage.delete(bob, chat, hers)
    await stage.delete(ada, chat, his)
    direct = await stage.direct(ada, bob)
    with pytest.raises(NotYourMessage):
        await stage.delete(ada, direct, await stage.says(bob, direct))


async def test_moderators_delete_anywhere_also_by_a_key(
    stage: Stage, ada: Actor, eve: Actor, chat: ChatId
) -> None:
    boss = await stage.person(MODERATE)
    key = Actor(ActorKind.API_KEY, id=uuid7(), permissions=frozenset({MODERATE}))
    for moderator in (boss, key):
        one = await stage.says(ada, chat)
        await stage.delete(moderator, chat, one)
        assert stage.message(one).deleted_at is not None
    with pytest.raises(NotFound):
        await stage.delete(boss, await stage.group(ada), one)
    with pytest.raises(NotFound):
        await stage.delete(eve, chat, one)
    with pytest.raises(PersonRequired):
        await stage.delete(Actor(ActorKind.API_KEY, id=uuid7()), chat, one)


async def test_a_reaction_counts_once_for_each(stage: Stage, ada: Actor, bob: Actor, chat: ChatId) -> None:
    one = await stage.says(ada, chat)
    for _ in range(2):
        await stage.react(ada, chat, one, "👍")
    await stage.react(bob, chat, one, "👍")
    assert stage.message(one).reactions == {"👍": 2}
    for _ in range(2):
        await stage.unreact(ada, chat, one, "👍")
    assert (stage.message(one).reactions, stage.message(one).rev) == ({"👍": 1}, 4)
    await stage.unreact(bob, chat, one, "👍")
    assert stage.message(one).reactions == {}


async def test_a_message_takes_32_different_reactions(
    stage: Stage, ada: Actor, bob: Actor, chat: ChatId
) -> None:
    one = await stage.says(ada, chat)
    for n in range(MAX_EMOJIS):
        await stage.react(ada, chat, one, str(n))
    with pytest.raises(TooManyReactions):
        await stage.react(bob, chat, one, "one more")
    await stage.react(bob, chat, one, "0")
    assert stage.message(one).reactions["0"] == 2
