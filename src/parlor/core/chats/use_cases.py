"""What people do with chats as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from parlor.core.chats.events import ChatEnded, ChatOpened
from parlor.core.chats.model import (
    Chat,
    ChatChanges,
    ChatKind,
    ChatMember,
    ChatRole,
    NewChat,
    direct_key,
    person,
)
from parlor.core.chats.ports import ChatWork
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import UnknownUser
from parlor.core.shared.ids import ChatId, UserId, uuid7
from parlor.core.shared.preconditions import ANY_VERSION, Expected
from parlor.core.shared.work import OnceKey, UnitOfWork

CREATED = 201
FOUND = 200


@dataclass(frozen=True, slots=True)
class Opened:
    """The chat that a request led to: a new one (201), or the direct chat that there was (200)."""

    chat_id: ChatId
    status: int = CREATED
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class OpenChat:
    """Anybody opens a group and owns it, or the one direct chat that they have with somebody."""

    work: UnitOfWork[ChatWork]
    clock: Clock

    async def __call__(self, actor: Actor, new: NewChat, *, once: OnceKey | None = None) -> Opened:
        founder = person(actor)
        others = new.others(founder)
        chat = self._made(new, founder, others)
        async with self.work() as work:
            earlier = await work.once(once, status=CREATED, ids=[chat.id])
            if earlier is not None:
                return Opened(ChatId(earlier.ids[0]), earlier.status, replayed=True)
            if chat.direct_key is not None:  # the one that there is outlives an account
                found = await work.chats.find_direct(chat.direct_key)
                if found is not None:
                    await work.amend(once, status=FOUND, ids=[found])
                    return Opened(found, FOUND)
            await _must_be_known(work, new.member_ids, but=founder)
            await work.chats.open(chat, _seated(chat, founder, others))
            work.publish(ChatOpened(chat.id, chat.kind, None))
        return Opened(chat.id)

    def _made(self, new: NewChat, founder: UserId, others: Sequence[UserId]) -> Chat:
        now = self.clock()
        key = direct_key(founder, others[0]) if new.kind is ChatKind.DIRECT else None
        return Chat(ChatId(uuid7()), new.kind, new.title, now, now, direct_key=key)


def _seated(chat: Chat, founder: UserId, others: Sequence[UserId]) -> list[ChatMember]:
    """Seat those who are in it from the start. Nobody owns a direct chat."""
    first = ChatRole.OWNER if chat.kind is ChatKind.GROUP else ChatRole.MEMBER
    roles = {founder: first} | dict.fromkeys(others, ChatRole.MEMBER)
    return [ChatMember(chat.id, user_id, role, chat.created_at) for user_id, role in roles.items()]


async def _must_be_known(work: ChatWork, user_ids: Sequence[UserId], *, but: UserId) -> None:
    known = await work.chat_people.active(user_ids) | {but}
    unknown = [place for place, user_id in enumerate(user_ids) if user_id not in known]
    if unknown:
        raise UnknownUser(*(f"/member_ids/{place}" for place in unknown))


@dataclass(frozen=True, slots=True)
class RenameChat:
    """The owner of a group gives it another title, or none."""

    work: UnitOfWork[ChatWork]
    clock: Clock

    async def __call__(
        self, actor: Actor, chat_id: ChatId, changes: ChatChanges, *, expected: Expected = ANY_VERSION
    ) -> None:
        async with self.work() as work:
            chat = await owned_group(work, chat_id, person(actor), expected=expected)
            if changes.named and chat.rename(changes.title, self.clock()):
                await work.chats.save(chat)


@dataclass(frozen=True, slots=True)
class DeleteChat:
    """The owner of a group ends it, for everybody."""

    work: UnitOfWork[ChatWork]

    async def __call__(self, actor: Actor, chat_id: ChatId, *, expected: Expected = ANY_VERSION) -> None:
        async with self.work() as work:
            await end_chat(work, await owned_group(work, chat_id, person(actor), expected=expected))


async def owned_group(
    work: ChatWork, chat_id: ChatId, owner_id: UserId, *, expected: Expected = ANY_VERSION
) -> Chat:
    """Lock a group for its owner. Raises NotFound to strangers, then DirectChat, PartyChat, NotChatOwner, Stale."""
    chat = await work.chats.get(chat_id)
    member = await work.chat_members.get(chat_id, owner_id)
    if chat.kind is ChatKind.GROUP:
        member.must_own()
    expected.must_be(chat.version)
    chat.must_be_group()
    return chat


async def end_chat(work: ChatWork, chat: Chat) -> None:
    """End a chat that is locked."""
    await work.chats.end(chat)
    work.publish(ChatEnded(chat.id))


async def pass_on(work: ChatWork, chat: Chat, member: ChatMember, at: datetime) -> None:
    """Let somebody leave a locked group: the longest-serving member owns it then; the last one out ends it."""
    others = [one for one in await work.chat_members.present(chat.id) if one.user_id != member.user_id]
    if not others:
        await end_chat(work, chat)
        return
    if member.role is ChatRole.OWNER:
        others[0].role = ChatRole.OWNER
        await work.chat_members.save_role(others[0])
    await work.chat_members.leave(chat, member, at)
