"""What people do with messages."""

from dataclasses import dataclass

from parlor.core.chats.changes import ChangeKind
from parlor.core.chats.messages import Draft, Posted
from parlor.core.chats.model import MODERATE, person
from parlor.core.chats.ports import ChatWork, Posts
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.ids import ChatId, MessageId, uuid7
from parlor.core.shared.work import UnitOfWork


@dataclass(frozen=True, slots=True)
class PostMessage:
    """A member writes into a chat. With a `client_id` it may be sent again and again, for ever."""

    posts: Posts

    async def __call__(
        self,
        actor: Actor,
        chat_id: ChatId,
        text: str,
        *,
        reply_to: MessageId | None = None,
        client_id: str | None = None,
    ) -> Posted:
        draft = Draft(MessageId(uuid7()), chat_id, person(actor), text, reply_to, client_id)
        posted = await self.posts(draft)
        posted.must_say(text)
        return posted


@dataclass(frozen=True, slots=True)
class EditMessage:
    """Its author says something else in a message."""

    work: UnitOfWork[ChatWork]
    clock: Clock

    async def __call__(self, actor: Actor, chat_id: ChatId, message_id: MessageId, text: str) -> None:
        async with self.work() as work:
            member = await work.chat_members.get(chat_id, person(actor))
            message = await work.messages.get(chat_id, message_id)
            if message.edit(member.user_id, text, self.clock()):
                await work.messages.save(message, ChangeKind.EDITED)


@dataclass(frozen=True, slots=True)
class DeleteMessage:
    """Its author, the chat's owner, or who moderates chats, deletes a message: its place stays, its text is erased."""

    work: UnitOfWork[ChatWork]
    clock: Clock

    async def __call__(self, actor: Actor, chat_id: ChatId, message_id: MessageId) -> None:
        async with self.work() as work:
            if actor.may(MODERATE):
                message = await work.messages.get(chat_id, message_id)
            else:
                member = await work.chat_members.get(chat_id, person(actor))
                message = await work.messages.get(chat_id, message_id)
                message.must_yield_to(member)
            if message.erase(self.clock()):
                await work.messages.save(message, ChangeKind.DELETED)


@dataclass(frozen=True, slots=True)
class React:
    """A member reacts to a message with an emoji: once, however often they say so."""

    work: UnitOfWork[ChatWork]

    async def __call__(self, actor: Actor, chat_id: ChatId, message_id: MessageId, emoji: str) -> None:
        async with self.work() as work:
            member = await work.chat_members.get(chat_id, person(actor))
            message = await work.messages.get(chat_id, message_id)
            message.must_take(emoji)
            if await work.messages.react(message, member.user_id, emoji):
                message.count(emoji, 1)
                await work.messages.save(message, ChangeKind.REACTION)


@dataclass(frozen=True, slots=True)
class Unreact:
    """A member takes a reaction back; without one, nothing happens."""

    work: UnitOfWork[ChatWork]

    async def __call__(self, actor: Actor, chat_id: ChatId, message_id: MessageId, emoji: str) -> None:
        async with self.work() as work:
            member = await work.chat_members.get(chat_id, person(actor))
            message = await work.messages.get(chat_id, message_id)
            if await work.messages.unreact(message, member.user_id, emoji):
                message.count(emoji, -1)
                await work.messages.save(message, ChangeKind.REACTION)
