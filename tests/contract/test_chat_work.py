"""Ports Chats, ChatMembers, Messages, Posts and ChatPeople: one test body over memory and PostgreSQL."""

import asyncio
import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.messages import Draft, Message, MessageKind, Posted, UnknownMessage
from parlor.core.chats.model import Chat, ChatKind, ChatMember, ChatRole, direct_key
from parlor.core.identity.model import UserStatus
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import ChatId, MessageId, PartyId, UserId, uuid7
from tests.builders import a_user
from tests.contract.backends import Backend
from tests.fakes.clock import NOON

ADA, BOB, EVE = (UserId(uuid7()) for _ in range(3))
LATER = NOON + timedelta(hours=1, microseconds=1)

CHAT: dict[str, Any] = {
    "id": ChatId(uuid7()),
    "kind": ChatKind.PARTY,
    "title": "Fans",
    "created_at": NOON - timedelta(days=1),
    "updated_at": LATER,
    "party_id": PartyId(uuid7()),
    "direct_key": "a:b",
    "member_count": 2,
    "version": 7,
}


def a_chat(**fields: Any) -> Chat:
    defaults: dict[str, Any] = {
        "id": ChatId(uuid7()),
        "kind": ChatKind.GROUP,
        "title": None,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Chat(**defaults | fields)


def seated(chat: Chat, *user_ids: UserId) -> list[ChatMember]:
    roles = [ChatRole.OWNER, *[ChatRole.MEMBER] * len(user_ids)]
    return [ChatMember(chat.id, one, role, NOON) for one, role in zip(user_ids, roles, strict=False)]


async def opened(backend: Backend, *user_ids: UserId, **fields: Any) -> Chat:
    chat = a_chat(**fields)
    async with backend.work() as work:
        await work.chats.open(chat, seated(chat, *user_ids or (ADA, BOB)))
    return chat


def a_draft(chat: Chat, text: str = "hi", author: UserId | None = ADA, **fields: Any) -> Draft:
    return Draft(MessageId(uuid7()), chat.id, author, text, **fields)


async def posted(backend: Backend, chat: Chat, text: str = "hi", **fields: Any) -> Posted:
    return await backend.posts(a_draft(chat, text, **fields))


async def message_of(backend: Backend, chat: Chat, message_id: MessageId) -> Message:
    async with backend.work() as work:
        return await work.messages.get(chat.id, message_id)


async def member_of(backend: Backend, chat: Chat, user_id: UserId) -> ChatMember | None:
    async with backend.work() as work:
        return await work.chat_members.find(chat.id, user_id)


def told(backend: Backend) -> list[tuple[ChangeKind, int]]:
    return [(change.kind, change.rev) for change in backend.changes]


# Chats


async def test_every_field_of_a_chat_comes_back(backend: Backend) -> None:
    chat, plain = Chat(**CHAT), a_chat()
    assert [one.name for one in fields(Chat) if getattr(chat, one.name) == getattr(plain, one.name)] == []
    async with backend.work() as work:
        await work.chats.open(chat, seated(chat, ADA, BOB))
        await work.chats.open(plain, [])
    async with backend.work() as work:
        assert await work.chats.get(chat.id) == chat == Chat(**CHAT)
        assert await work.chats.get(plain.id) == plain
        assert await work.chats.find_of_party(CHAT["party_id"]) == chat
        assert await work.chats.find_of_party(PartyId(uuid7())) is None


async def test_a_title_is_saved_under_a_new_version(backend: Backend) -> None:
    chat = await opened(backend)
    mine = replace(chat, title="Mine")
    async with backend.work() as work:
        renamed = replace(chat, title="Theirs", updated_at=LATER)
        await work.chats.save(renamed)
    assert renamed.version == 2
    with pytest.raises(Contended):
        async with backend.work() as work:
            await work.chats.save(mine)
    async with backend.work() as work:
        assert await work.chats.get(chat.id) == renamed


async def test_two_people_have_one_direct_chat(backend: Backend) -> None:
    key = direct_key(ADA, BOB)
    assert key == direct_key(BOB, ADA)
    chat = await opened(backend, kind=ChatKind.DIRECT, direct_key=key)
    with pytest.raises(Contended):
        await opened(backend, kind=ChatKind.DIRECT, direct_key=key)
    async with backend.work() as work:
        assert await work.chats.find_direct(key) == chat.id
        assert await work.chats.find_direct(direct_key(ADA, EVE)) is None


async def test_a_chat_that_has_ended_is_nobodys(backend: Backend) -> None:
    party = PartyId(uuid7())
    chat = await opened(backend, kind=ChatKind.PARTY, party_id=party)
    message = await posted(backend, chat)
    async with backend.work() as work:
        await work.chats.end(await work.chats.get(chat.id))
    assert told(backend)[-1] == (ChangeKind.ENDED, 2)
    async with backend.work() as work:
        assert await work.chats.find_of_party(party) is None
        assert await work.chat_members.present(chat.id) == []
        for lost in (work.chats.get(chat.id), work.messages.get(chat.id, message.id)):
            with pytest.raises(NotFound):
                await lost
    with pytest.raises(NotFound):
        await posted(backend, chat)
    await opened(backend, kind=ChatKind.PARTY, party_id=party)


async def test_an_exception_leaves_no_trace_and_nothing_is_told(backend: Backend) -> None:
    chat, other = await opened(backend), a_chat()

    async def fail() -> None:
        async with backend.work() as work:
            await work.chats.open(other, seated(other, ADA))
            await work.messages.post(a_draft(chat, author=None))
            await work.chat_members.join(await work.chats.get(chat.id), EVE, ChatRole.MEMBER, LATER)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert told(backend) == []
    with pytest.raises(NotFound):
        async with backend.work() as work:
            await work.chats.get(other.id)
    assert await member_of(backend, chat, EVE) is None
    first = await posted(backend, chat)
    assert (first.seq, first.rev) == (1, 1)


# Members


async def test_every_field_of_a_member_comes_back(backend: Backend) -> None:
    chat = await opened(backend)
    await posted(backend, chat)
    async with backend.work() as work:
        joined = await work.chat_members.join(await work.chats.get(chat.id), EVE, ChatRole.MEMBER, LATER)
    assert joined == ChatMember(chat.id, EVE, ChatRole.MEMBER, LATER, joined_seq=1, read_seq=1, rev=2)
    assert await member_of(backend, chat, EVE) == joined
    assert backend.changes[-1] == Change(chat.id, 2, ChangeKind.JOINED, user_id=EVE)
    async with backend.work() as work:
        assert (await work.chats.get(chat.id)).member_count == 3
        assert (await work.chats.get(chat.id)).version == 1


async def test_who_is_in_a_chat_joins_only_once(backend: Backend) -> None:
    chat = await opened(backend)
    async with backend.work() as work:
        locked = await work.chats.get(chat.id)
        assert await work.chat_members.join(locked, BOB, ChatRole.MEMBER, LATER) is None
        assert locked.member_count == 2
    assert told(backend) == []


async def test_who_leaves_is_not_found_and_comes_back_with_all_read(backend: Backend) -> None:
    chat = await opened(backend)
    await posted(backend, chat)
    async with backend.work() as work:
        locked = await work.chats.get(chat.id)
        await work.chat_members.leave(locked, await work.chat_members.get(chat.id, BOB), LATER)
        assert locked.member_count == 1
    assert backend.changes[-1] == Change(chat.id, 2, ChangeKind.LEFT, user_id=BOB)
    async with backend.work() as work:
        assert [one.user_id for one in await work.chat_members.present(chat.id)] == [ADA]
        with pytest.raises(NotFound):
            await work.chat_members.get(chat.id, BOB)
        with pytest.raises(NotFound):
            await work.chat_members.read_up_to(chat.id, BOB, 1)
    with pytest.raises(NotFound):
        await posted(backend, chat, author=BOB)
    await posted(backend, chat)
    async with backend.work() as work:
        again = await work.chat_members.join(await work.chats.get(chat.id), BOB, ChatRole.OWNER, NOON)
    assert again == ChatMember(chat.id, BOB, ChatRole.OWNER, NOON, joined_seq=2, read_seq=2, rev=4)
    assert await member_of(backend, chat, BOB) == again


async def test_the_longest_serving_stand_first(backend: Backend) -> None:
    chat = await opened(backend, ADA)
    for user_id, at in ((EVE, LATER), (BOB, NOON)):
        async with backend.work() as work:
            await work.chat_members.join(await work.chats.get(chat.id), user_id, ChatRole.MEMBER, at)
    async with backend.work() as work:
        assert [one.user_id for one in await work.chat_members.present(chat.id)] == [ADA, BOB, EVE]


async def test_a_role_is_saved_alone(backend: Backend) -> None:
    chat = await opened(backend)
    await posted(backend, chat)
    async with backend.work() as work:
        member = await work.chat_members.get(chat.id, BOB)
        member.role, member.read_seq = ChatRole.OWNER, 1
        await work.chat_members.save_role(member)
    assert await member_of(backend, chat, BOB) == replace(member, read_seq=0)


async def test_what_somebody_has_read_never_goes_back_nor_beyond_the_last(backend: Backend) -> None:
    chat = await opened(backend)
    for _ in range(3):
        await posted(backend, chat)
    places = []
    for seq in (2, 1, 2**63 - 1, 0):
        async with backend.work() as work:
            await work.chat_members.read_up_to(chat.id, BOB, seq)
        member = await member_of(backend, chat, BOB)
        assert member is not None
        places.append(member.read_seq)
    assert places == [2, 2, 3, 3]
    heard = [change for change in backend.changes if change.kind is ChangeKind.READ]
    assert heard == [Change(chat.id, 0, ChangeKind.READ, user_id=BOB, seq=seq) for seq in (2, 3)]
    for stranger in (EVE, UserId(uuid7())):
        with pytest.raises(NotFound):
            async with backend.work() as work:
                await work.chat_members.read_up_to(chat.id, stranger, 1)


async def test_the_groups_of_somebody_are_those_that_they_are_in(backend: Backend) -> None:
    group, left = await opened(backend), await opened(backend)
    await opened(backend, kind=ChatKind.DIRECT, direct_key="x")
    await opened(backend, EVE)
    async with backend.work() as work:
        chat = await work.chats.get(left.id)
        await work.chat_members.leave(chat, await work.chat_members.get(left.id, BOB), LATER)
    async with backend.work() as work:
        assert await work.chat_members.groups_of(BOB, limit=5) == [group.id]
        assert len(await work.chat_members.groups_of(ADA, limit=1)) == 1


# Messages


async def test_every_field_of_a_message_comes_back(backend: Backend) -> None:
    chat = await opened(backend)
    first = await posted(backend, chat)
    draft = a_draft(chat, 'so "so"\n', author=BOB, reply_to=first.id, client_id="c")
    second = await backend.posts(draft)
    message = await message_of(backend, chat, second.id)
    assert message == Message(
        id=draft.id,
        chat_id=chat.id,
        seq=2,
        rev=2,
        author_id=BOB,
        kind=MessageKind.USER,
        text='so "so"\n',
        created_at=message.created_at,
        reply_to=first.id,
        client_id="c",
    )
    assert (second.seq, second.rev, second.new, second.text) == (2, 2, True, message.text)


async def test_what_becomes_of_a_message_is_saved_with_the_next_rev(backend: Backend) -> None:
    chat = await opened(backend)
    message = await message_of(backend, chat, (await posted(backend, chat, client_id="c")).id)
    changed = replace(message, text="other", edited_at=LATER, reactions={"👍": 2})
    async with backend.work() as work:
        await work.messages.save(changed, ChangeKind.EDITED)
    assert changed.rev == 2
    assert await message_of(backend, chat, message.id) == changed
    change = backend.changes[-1]
    assert (change.kind, change.rev, change.chat_id) == (ChangeKind.EDITED, 2, chat.id)
    shown = json.loads(change.message)
    assert shown["edited_at"] == "2026-03-01T13:00:00.000001Z"
    assert (shown["rev"], shown["text"], shown["reactions"]) == (2, "other", {"👍": 2})


async def test_a_message_is_told_as_it_is_shown(backend: Backend) -> None:
    """Once written, the JSON serves the answer and every listener."""
    chat = await opened(backend)
    one = await posted(backend, chat, "hi", client_id="c")
    change = backend.changes[-1]
    assert change == Change(chat.id, 1, ChangeKind.CREATED, message=one.json)
    shown = json.loads(one.json)
    created_at = shown.pop("created_at")
    assert created_at.endswith("Z")
    assert shown == {
        "id": str(one.id),
        "chat_id": str(chat.id),
        "seq": 1,
        "rev": 1,
        "author_id": str(ADA),
        "kind": "user",
        "text": "hi",
        "reply_to": None,
        "client_id": "c",
        "edited_at": None,
        "deleted_at": None,
        "reactions": {},
    }


async def test_a_deleted_messages_text_and_reactions_are_erased(backend: Backend) -> None:
    chat = await opened(backend)
    message = await message_of(backend, chat, (await posted(backend, chat)).id)
    async with backend.work() as work:
        assert await work.messages.react(message, BOB, "👍")
    async with backend.work() as work:
        message.erase(LATER)
        await work.messages.save(message, ChangeKind.DELETED)
        assert await work.messages.react(message, BOB, "👍"), "the reaction was gone"
    assert await message_of(backend, chat, message.id) == message


async def test_a_reaction_counts_once(backend: Backend) -> None:
    chat = await opened(backend)
    message = await message_of(backend, chat, (await posted(backend, chat)).id)
    async with backend.work() as work:
        assert not await work.messages.unreact(message, ADA, "👍")
        assert await work.messages.react(message, ADA, "👍")
        assert not await work.messages.react(message, ADA, "👍")
        assert await work.messages.react(message, ADA, "🎉")
        assert await work.messages.react(message, BOB, "👍")
        assert await work.messages.unreact(message, ADA, "👍")
        assert not await work.messages.unreact(message, ADA, "👍")


async def test_a_message_belongs_to_its_chat(backend: Backend) -> None:
    chat, other = await opened(backend), await opened(backend)
    one = await posted(backend, chat)
    for chat_id, message_id in ((other.id, one.id), (chat.id, MessageId(uuid7()))):
        async with backend.work() as work:
            with pytest.raises(NotFound):
                await work.messages.get(chat_id, message_id)
    with pytest.raises(UnknownMessage):
        await posted(backend, other, reply_to=one.id)
    with pytest.raises(UnknownMessage):
        await posted(backend, chat, reply_to=MessageId(uuid7()))
    assert (await posted(backend, other)).seq == 1
    assert (await posted(backend, chat, reply_to=one.id)).seq == 2


async def test_posting_moves_what_its_author_has_read_and_nobody_elses(backend: Backend) -> None:
    chat = await opened(backend)
    for _ in range(2):
        await posted(backend, chat, author=BOB)
    ada, bob = await member_of(backend, chat, ADA), await member_of(backend, chat, BOB)
    assert ada is not None
    assert bob is not None
    assert (ada.read_seq, bob.read_seq) == (0, 2)


async def test_the_systems_message_needs_no_member(backend: Backend) -> None:
    chat = await opened(backend, ADA)
    draft = a_draft(chat, "Sing.", author=None)
    async with backend.work() as work:
        one = await work.messages.post(draft)
    message = await message_of(backend, chat, one.id)
    assert (message.author_id, message.kind, message.text, message.seq) == (
        None,
        MessageKind.SYSTEM,
        "Sing.",
        1,
    )
    assert told(backend) == [(ChangeKind.CREATED, 1)]


async def test_a_stranger_posts_nothing_and_takes_no_place(backend: Backend) -> None:
    chat = await opened(backend)
    for draft in (a_draft(chat, author=EVE), Draft(MessageId(uuid7()), ChatId(uuid7()), ADA, "hi")):
        with pytest.raises(NotFound):
            await backend.posts(draft)
    assert (await posted(backend, chat)).seq == 1


async def test_the_same_client_id_is_the_first_message(backend: Backend) -> None:
    """Of the same author in the same chat; it takes no place and is told to nobody."""
    chat, other = await opened(backend), await opened(backend)
    first = await posted(backend, chat, "one", client_id="c")
    again = await posted(backend, chat, "two", client_id="c")
    assert (again.id, again.seq, again.new, again.text, again.changed) == (first.id, 1, False, "one", False)
    assert again.json == first.json
    assert len(backend.changes) == 1
    assert (await posted(backend, chat, "x", author=BOB, client_id="c")).new
    assert (await posted(backend, other, "x", client_id="c")).new
    assert (await posted(backend, chat, "x", client_id="d")).seq == 3


async def test_what_became_of_the_first_message_is_said(backend: Backend) -> None:
    chat = await opened(backend)
    message = await message_of(backend, chat, (await posted(backend, chat, "one", client_id="c")).id)
    message.edit(ADA, "two", LATER)
    async with backend.work() as work:
        await work.messages.save(message, ChangeKind.EDITED)
    edited = await posted(backend, chat, "three", client_id="c")
    assert (edited.new, edited.text, edited.changed) == (False, "two", True)
    message.erase(LATER)
    async with backend.work() as work:
        await work.messages.save(message, ChangeKind.DELETED)
    erased = await posted(backend, chat, "three", client_id="c")
    assert (erased.new, erased.text, erased.changed) == (False, None, True)


async def test_whoever_posts_at_once_gets_places_without_a_hole(backend: Backend) -> None:
    chat = await opened(backend)
    writers = (ADA, BOB) * 16
    made = await asyncio.gather(*(posted(backend, chat, author=writer) for writer in writers))
    assert sorted(one.seq for one in made) == sorted(one.rev for one in made) == list(range(1, 33))


async def test_twins_at_once_are_one_message_or_one_of_them_runs_again(backend: Backend) -> None:
    chat = await opened(backend)
    twins = [posted(backend, chat, client_id="c") for _ in range(4)]
    outcomes = await asyncio.gather(*twins, return_exceptions=True)
    made = [one for one in outcomes if isinstance(one, Posted)]
    assert {type(one) for one in outcomes} <= {Posted, Contended}
    assert len({one.id for one in made}) == 1
    assert sum(one.new for one in made) == 1
    assert (await posted(backend, chat)).seq == 2


# ChatPeople


async def test_only_active_accounts_are_people(backend: Backend) -> None:
    active, disabled = a_user(), a_user(status=UserStatus.DISABLED)
    async with backend.work() as work:
        for user in (active, disabled):
            await work.users.add(user)
    async with backend.work() as work:
        assert await work.chat_people.active([active.id, disabled.id, UserId(uuid7())]) == {active.id}
        assert await work.chat_people.active([]) == set()
