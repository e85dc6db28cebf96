"""Who comes and goes, and what they have read."""

import pytest

from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.model import MAX_MEMBERS, ChatFull, ChatRole, NotChatOwner
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound, UnknownUser
from parlor.core.shared.ids import UserId, uuid7
from tests.unit.chats.stage import Stage, id_of


async def test_the_owner_takes_somebody_in_once(stage: Stage, ada: Actor, bob: Actor, eve: Actor) -> None:
    chat_id = await stage.group(ada, bob)
    await stage.says(ada, chat_id)
    with pytest.raises(NotChatOwner):
        await stage.add(bob, chat_id, id_of(eve))
    assert await stage.add(ada, chat_id, id_of(eve))
    assert not await stage.add(ada, chat_id, id_of(eve))
    assert stage.last() == Change(chat_id, 2, ChangeKind.JOINED, user_id=id_of(eve))
    assert stage.store.unread(chat_id, id_of(eve)) == 0
    assert (stage.store.chats[chat_id].member_count, stage.store.chats[chat_id].version) == (3, 1)


async def test_nobody_unknown_and_nobody_too_many_is_taken_in(stage: Stage, ada: Actor, bob: Actor) -> None:
    chat_id = await stage.group(ada)
    with pytest.raises(UnknownUser) as refused:
        await stage.add(ada, chat_id, UserId(uuid7()))
    assert [flaw.pointer for flaw in refused.value.flaws] == ["/user_id"]
    stage.store.chats[chat_id].member_count = MAX_MEMBERS
    with pytest.raises(ChatFull):
        await stage.add(ada, chat_id, id_of(bob))
    assert not await stage.add(ada, chat_id, id_of(ada))


async def test_the_owner_puts_somebody_out(stage: Stage, ada: Actor, bob: Actor, eve: Actor) -> None:
    chat_id = await stage.group(ada, bob, eve)
    with pytest.raises(NotChatOwner):
        await stage.remove(eve, chat_id, id_of(bob))
    await stage.remove(ada, chat_id, id_of(bob))
    assert stage.last() == Change(chat_id, 1, ChangeKind.LEFT, user_id=id_of(bob))
    for owner_or_not in (ada, eve):
        with pytest.raises(NotFound):
            await stage.remove(owner_or_not, chat_id, id_of(bob))
    for asked in (
        stage.post(bob, chat_id, "hi"),
        stage.read(bob, chat_id, 1),
        stage.remove(bob, chat_id, id_of(bob)),
    ):
        with pytest.raises(NotFound):
            await asked


async def test_an_owner_who_leaves_hands_over_to_the_longest_serving(
    stage: Stage, ada: Actor, bob: Actor, eve: Actor
) -> None:
    chat_id = await stage.group(ada)
    for newcomer in (eve, bob):
        stage.clock.advance(seconds=1)
        await stage.add(ada, chat_id, id_of(newcomer))
    await stage.remove(ada, chat_id, id_of(ada))
    assert stage.member(chat_id, eve).role is ChatRole.OWNER
    assert stage.member(chat_id, bob).role is ChatRole.MEMBER
    await stage.remove(eve, chat_id, id_of(bob))
    await stage.remove(eve, chat_id, id_of(eve))
    assert stage.told()[-1] == (ChangeKind.ENDED, 5)
    assert stage.store.chats == {}


async def test_who_is_taken_in_again_has_read_everything(stage: Stage, ada: Actor, bob: Actor) -> None:
    chat_id = await stage.group(ada, bob)
    await stage.says(ada, chat_id)
    await stage.remove(bob, chat_id, id_of(bob))
    await stage.says(ada, chat_id)
    await stage.add(ada, chat_id, id_of(bob))
    assert stage.store.unread(chat_id, id_of(bob)) == 0
    await stage.says(ada, chat_id)
    assert stage.store.unread(chat_id, id_of(bob)) == 1


async def test_reading_never_goes_back(stage: Stage, ada: Actor, bob: Actor, eve: Actor) -> None:
    chat_id = await stage.group(ada, bob)
    for _ in range(3):
        await stage.says(ada, chat_id)
    unread = []
    for seq in (1, 0, 2, 99):
        await stage.read(bob, chat_id, seq)
        unread.append(stage.store.unread(chat_id, id_of(bob)))
    assert unread == [2, 2, 1, 0]
    with pytest.raises(NotFound):
        await stage.read(eve, chat_id, 1)


async def test_whoever_is_deleted_leaves_every_group_and_no_direct_chat(
    stage: Stage, ada: Actor, bob: Actor
) -> None:
    """Any number of them, also alone; calling it again is nothing."""
    alone, mine, theirs = await stage.group(bob), await stage.group(bob, ada), await stage.group(ada, bob)
    direct = await stage.direct(ada, bob)
    for _ in range(60):
        await stage.group(ada, bob)
    for _ in range(2):
        await stage.farewell(id_of(bob))
    assert alone not in stage.store.chats
    assert stage.member(mine, ada).role is ChatRole.OWNER
    assert stage.store.here(theirs, id_of(bob)) is None
    assert [one for one in stage.store.chats if stage.store.here(one, id_of(bob))] == [direct]
