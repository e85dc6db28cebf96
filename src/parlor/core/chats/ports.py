"""What chats need from the world."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from parlor.core.chats.changes import ChangeKind
from parlor.core.chats.messages import Draft, Message, Posted
from parlor.core.chats.model import Chat, ChatMember, ChatRole
from parlor.core.shared.ids import ChatId, MessageId, PartyId, UserId
from parlor.core.shared.work import Work


class Chats(Protocol):
    """Chats, for commands. What takes a `rev` is told to the chat's listeners once it is committed."""

    async def open(self, chat: Chat, members: Sequence[ChatMember]) -> None:
        """Store a chat with those who are in it from the start, at seq 0 and rev 0.

        Raises Contended where a direct chat of the same two appears at the same time.
        """
        ...

    async def get(self, chat_id: ChatId) -> Chat:
        """Raises NotFound. The row stays locked until the transaction ends."""
        ...

    async def find_direct(self, key: str) -> ChatId | None:
        """Find the chat of two people by the key of `direct_key`, without a lock."""
        ...

    async def find_of_party(self, party_id: PartyId) -> Chat | None:
        """Find a party's chat; its row stays locked until the transaction ends."""
        ...

    async def save(self, chat: Chat) -> None:
        """Raise the version, and store. Raises Contended when somebody else did first."""
        ...

    async def end(self, chat: Chat) -> None:
        """Take the chat from everybody, with the next `rev`; what was written in it is deleted later, in batches."""
        ...


class ChatMembers(Protocol):
    """Who is in which chat, for commands. Whoever changes it holds the lock of the chat's row."""

    async def get(self, chat_id: ChatId, user_id: UserId) -> ChatMember:
        """Raises NotFound unless they are in the chat right now. The row stays locked."""
        ...

    async def find(self, chat_id: ChatId, user_id: UserId) -> ChatMember | None:
        """As `get`, and None where they are not in the chat."""
        ...

    async def present(self, chat_id: ChatId) -> Sequence[ChatMember]:
        """List who is in the chat, the longest-serving first, without a lock."""
        ...

    async def groups_of(self, user_id: UserId, *, limit: int) -> Sequence[ChatId]:
        """List groups that somebody is in, without a lock."""
        ...

    async def join(self, chat: Chat, user_id: UserId, role: ChatRole, at: datetime) -> ChatMember | None:
        """Put somebody into the chat with the next `rev`, all that was written so far read; None if they are in it."""
        ...

    async def leave(self, chat: Chat, member: ChatMember, at: datetime) -> None:
        """Take somebody out of the chat with the next `rev`; their row stays."""
        ...

    async def save_role(self, member: ChatMember) -> None:
        """Store the role alone."""
        ...

    async def read_up_to(self, chat_id: ChatId, user_id: UserId, seq: int) -> None:
        """Move what somebody has read to `seq`, or the last one where it lies beyond it; never back.

        Raises NotFound unless they are in the chat right now.
        """
        ...


class Messages(Protocol):
    """Messages, for commands."""

    async def get(self, chat_id: ChatId, message_id: MessageId) -> Message:
        """Raises NotFound. The row stays locked until the transaction ends."""
        ...

    async def save(self, message: Message, change: ChangeKind) -> None:
        """Store with the next `rev`; a deleted message's text and reactions are erased for good."""
        ...

    async def post(self, draft: Draft) -> Posted:
        """As `Posts`, in this transaction. A system's message needs no member."""
        ...

    async def react(self, message: Message, user_id: UserId, emoji: str) -> bool:
        """Store somebody's reaction; tells whether that is news."""
        ...

    async def unreact(self, message: Message, user_id: UserId, emoji: str) -> bool:
        """Remove somebody's reaction; tells whether that is news."""
        ...


class Posts(Protocol):
    """Posts a message, in a transaction of its own: one round trip, whatever the number of members."""

    async def __call__(self, draft: Draft) -> Posted:
        """Store it with the next `seq` and `rev`, which nobody else can take before the commit: no hole, one order.

        Its author has read it. A `client_id` that the same author has used in this chat answers with the message of
        that time. Raises NotFound unless its author is in the chat, UnknownMessage where `reply_to` names none of it,
        Contended where a twin with the same `client_id` is posted at the same time.
        """
        ...


class ChatPeople(Protocol):
    """The people who may be in chats."""

    async def active(self, user_ids: Collection[UserId]) -> set[UserId]:
        """Tell which of them have an account that is active."""
        ...


class ChatWork(Work, Protocol):
    """A transaction of this context. Locks are taken in the order of these ports, the chat's counter last of all."""

    @property
    def chat_people(self) -> ChatPeople: ...

    @property
    def chats(self) -> Chats: ...

    @property
    def chat_members(self) -> ChatMembers: ...

    @property
    def messages(self) -> Messages: ...
