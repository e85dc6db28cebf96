"""The command ports of chats in memory. Every change takes the chat's next rev, as in the tables."""

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.messages import Draft, Message, Posted, UnknownMessage
from parlor.core.chats.model import Chat, ChatKind, ChatMember, ChatRole
from parlor.core.identity.model import UserStatus
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import ChatId, MessageId, PartyId, UserId
from tests.fakes.identity import IdentityStore


@dataclass(slots=True)
class Head:
    """How far a chat has come."""

    last_seq: int = 0
    last_rev: int = 0


@dataclass(slots=True)
class ChatStore:
    """Rows by their keys; `changes` is what listeners were told."""

    chats: dict[ChatId, Chat] = field(default_factory=dict)
    heads: dict[ChatId, Head] = field(default_factory=dict)
    members: dict[tuple[ChatId, UserId], ChatMember] = field(default_factory=dict)
    messages: dict[MessageId, Message] = field(default_factory=dict)
    reactions: set[tuple[MessageId, UserId, str]] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)

    def next_rev(self, chat_id: ChatId) -> int:
        self.heads[chat_id].last_rev += 1
        return self.heads[chat_id].last_rev

    def here(self, chat_id: ChatId, user_id: UserId) -> ChatMember | None:
        member = self.members.get((chat_id, user_id))
        return None if member is None or member.left_at is not None else member

    def unread(self, chat_id: ChatId, user_id: UserId) -> int:
        return self.heads[chat_id].last_seq - self.members[chat_id, user_id].read_seq


class FakeChatPeople:
    """Port ChatPeople."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def active(self, user_ids: Collection[UserId]) -> set[UserId]:
        found = (self._store.users.get(one) for one in user_ids)
        return {user.id for user in found if user is not None and user.status is UserStatus.ACTIVE}


class FakeChats:
    """Port Chats."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def open(self, chat: Chat, members: Sequence[ChatMember]) -> None:
        keys = {other.direct_key for other in self._store.chats.values()} - {None}
        if chat.direct_key in keys:
            raise Contended("uq_chats_direct_key")
        chat.member_count = len(members)
        self._store.chats[chat.id] = deepcopy(chat)
        self._store.heads[chat.id] = Head()
        for member in members:
            seated = replace(member, joined_at=chat.created_at, joined_seq=0, read_seq=0, rev=0)
            self._store.members[chat.id, member.user_id] = seated

    async def get(self, chat_id: ChatId) -> Chat:
        if chat_id not in self._store.chats:
            raise NotFound
        return deepcopy(self._store.chats[chat_id])

    async def find_direct(self, key: str) -> ChatId | None:
        return next((one.id for one in self._store.chats.values() if one.direct_key == key), None)

    async def find_of_party(self, party_id: PartyId) -> Chat | None:
        found = (one for one in self._store.chats.values() if one.party_id == party_id)
        return deepcopy(next(found, None))

    async def save(self, chat: Chat) -> None:
        stored = self._store.chats.get(chat.id)
        if stored is None or stored.version != chat.version:
            raise Contended("chats.version")
        chat.version += 1
        stored.title, stored.updated_at, stored.version = chat.title, chat.updated_at, chat.version

    async def end(self, chat: Chat) -> None:
        rev = self._store.next_rev(chat.id)
        del self._store.chats[chat.id]
        for key in [key for key in self._store.members if key[0] == chat.id]:
            del self._store.members[key]
        self._store.changes.append(Change(chat.id, rev, ChangeKind.ENDED))


class FakeChatMembers:
    """Port ChatMembers."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store

    async def get(self, chat_id: ChatId, user_id: UserId) -> ChatMember:
        member = await self.find(chat_id, user_id)
        if member is None:
            raise NotFound
        return member

    async def find(self, chat_id: ChatId, user_id: UserId) -> ChatMember | None:
        return deepcopy(self._store.here(chat_id, user_id))

    async def present(self, chat_id: ChatId) -> Sequence[ChatMember]:
        here = [one for one in self._store.members.values() if one.chat_id == chat_id and one.left_at is None]
        return deepcopy(sorted(here, key=lambda one: (one.joined_at, one.rev, one.user_id)))

    async def groups_of(self, user_id: UserId, *, limit: int) -> Sequence[ChatId]:
        groups = (one.id for one in self._store.chats.values() if one.kind is ChatKind.GROUP)
        return [one for one in groups if self._store.here(one, user_id)][:limit]

    async def join(self, chat: Chat, user_id: UserId, role: ChatRole, at: datetime) -> ChatMember | None:
        if self._store.here(chat.id, user_id) is not None:
            return None
        self._count(chat, 1)
        rev, seq = self._store.next_rev(chat.id), self._store.heads[chat.id].last_seq
        member = ChatMember(chat.id, user_id, role, at, joined_seq=seq, read_seq=seq, rev=rev)
        self._store.members[chat.id, user_id] = member
        self._store.changes.append(Change(chat.id, rev, ChangeKind.JOINED, user_id=user_id))
        return deepcopy(member)

    async def leave(self, chat: Chat, member: ChatMember, at: datetime) -> None:
        self._count(chat, -1)
        member.rev, member.left_at = self._store.next_rev(chat.id), at
        stored = self._store.members[chat.id, member.user_id]
        stored.rev, stored.left_at = member.rev, at
        self._store.changes.append(Change(chat.id, member.rev, ChangeKind.LEFT, user_id=member.user_id))

    async def save_role(self, member: ChatMember) -> None:
        self._store.members[member.chat_id, member.user_id].role = member.role

    async def read_up_to(self, chat_id: ChatId, user_id: UserId, seq: int) -> None:
        member = self._store.here(chat_id, user_id)
        if member is None:
            raise NotFound
        reached = min(seq, self._store.heads[chat_id].last_seq)
        if reached > member.read_seq:
            member.read_seq = reached
            self._store.changes.append(Change(chat_id, 0, ChangeKind.READ, user_id=user_id, seq=reached))

    def _count(self, chat: Chat, by: int) -> None:
        chat.member_count += by
        self._store.chats[chat.id].member_count += by


class FakeMessages:
    """Port Messages."""

    def __init__(self, store: ChatStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, chat_id: ChatId, message_id: MessageId) -> Message:
        message = self._store.messages.get(message_id)
        if message is None or message.chat_id != chat_id or chat_id not in self._store.chats:
            raise NotFound
        return deepcopy(message)

    async def save(self, message: Message, change: ChangeKind) -> None:
        message.rev = self._store.next_rev(message.chat_id)
        self._store.messages[message.id] = deepcopy(message)
        if message.deleted_at is not None:
            self._store.reactions -= {one for one in self._store.reactions if one[0] == message.id}
        told = Change(message.chat_id, message.rev, change, message=shown(message))
        self._store.changes.append(told)

    async def post(self, draft: Draft) -> Posted:
        if draft.author_id is not None and self._store.here(draft.chat_id, draft.author_id) is None:
            raise NotFound
        earlier = self._earlier(draft)
        if earlier is not None:
            changed = earlier.edited_at is not None or earlier.deleted_at is not None
            return _posted(earlier, new=False, changed=changed)
        if draft.reply_to is not None:
            target = self._store.messages.get(draft.reply_to)
            if target is None or target.chat_id != draft.chat_id:
                raise UnknownMessage
        return _posted(self._stored(draft), new=True)

    async def react(self, message: Message, user_id: UserId, emoji: str) -> bool:
        return self._toggled(message, user_id, emoji, add=True)

    async def unreact(self, message: Message, user_id: UserId, emoji: str) -> bool:
        return self._toggled(message, user_id, emoji, add=False)

    def _toggled(self, message: Message, user_id: UserId, emoji: str, *, add: bool) -> bool:
        key = (message.id, user_id, emoji)
        if (key in self._store.reactions) is add:
            return False
        self._store.reactions ^= {key}
        return True

    def _earlier(self, draft: Draft) -> Message | None:
        wanted = (draft.chat_id, draft.author_id, draft.client_id)
        found = (
            one
            for one in self._store.messages.values()
            if (one.chat_id, one.author_id, one.client_id) == wanted
        )
        return None if draft.client_id is None else next(found, None)

    def _stored(self, draft: Draft) -> Message:
        head = self._store.heads[draft.chat_id]
        head.last_seq += 1
        rev = self._store.next_rev(draft.chat_id)
        message = Message(
            id=draft.id,
            chat_id=draft.chat_id,
            seq=head.last_seq,
            rev=rev,
            author_id=draft.author_id,
            kind=draft.kind,
            text=draft.text,
            created_at=self._clock(),
            reply_to=draft.reply_to,
            client_id=draft.client_id,
        )
        self._store.messages[message.id] = message
        if draft.author_id is not None:
            self._store.members[draft.chat_id, draft.author_id].read_seq = message.seq
        told = Change(message.chat_id, rev, ChangeKind.CREATED, message=shown(message))
        self._store.changes.append(told)
        return message


@dataclass(frozen=True, slots=True)
class FakePosts:
    """Port Posts, over works of the fake database."""

    work: Callable[[], AbstractAsyncContextManager[Any]]

    async def __call__(self, draft: Draft) -> Posted:
        async with self.work() as work:
            posted: Posted = await work.messages.post(draft)
        return posted


def shown(message: Message) -> bytes:
    """Write what the database writes of a message."""
    values = {name: getattr(message, name) for name in Message.__slots__}
    return json.dumps(values, default=_written).encode()


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return str(value)


def _posted(message: Message, *, new: bool, changed: bool = False) -> Posted:
    return Posted(
        id=message.id,
        seq=message.seq,
        rev=message.rev,
        json=shown(message),
        new=new,
        text=message.text,
        changed=changed,
    )
