"""A party's chat follows its party: what chats do about the others' events, in the same transaction."""

from dataclasses import dataclass

from parlor.core.chats.events import ChatOpened, MessagePosted
from parlor.core.chats.messages import Draft
from parlor.core.chats.model import Chat, ChatKind, ChatMember, ChatRole
from parlor.core.chats.ports import ChatWork
from parlor.core.chats.use_cases import end_chat
from parlor.core.games.events import CardDrawn
from parlor.core.parties.events import (
    MemberJoined,
    MemberLeft,
    OwnerChanged,
    PartyChanged,
    PartyEnded,
    PartyFounded,
)
from parlor.core.shared.clock import system_clock


async def open_party_chat(event: PartyFounded, work: ChatWork) -> None:
    """A party has a chat from its first moment: its own title, its founder the owner."""
    now = system_clock()
    chat = Chat(event.chat_id, ChatKind.PARTY, event.name_, now, now, party_id=event.party_id)
    await work.chats.open(chat, [ChatMember(chat.id, event.owner_id, ChatRole.OWNER, now)])
    work.publish(ChatOpened(chat.id, chat.kind, chat.party_id))


async def retitle_party_chat(event: PartyChanged, work: ChatWork) -> None:
    """The chat is called what its party is called."""
    chat = await work.chats.find_of_party(event.party_id)
    if chat is not None and chat.rename(event.name_, system_clock()):
        await work.chats.save(chat)


async def let_member_in(event: MemberJoined, work: ChatWork) -> None:
    """Whoever takes a seat is in the chat."""
    chat = await work.chats.find_of_party(event.party_id)
    if chat is not None:
        await work.chat_members.join(chat, event.user_id, ChatRole.MEMBER, system_clock())


async def see_member_off(event: MemberLeft, work: ChatWork) -> None:
    """Whoever's seat is free again is no longer in the chat, whatever the reason."""
    chat = await work.chats.find_of_party(event.party_id)
    if chat is None:
        return
    member = await work.chat_members.find(chat.id, event.user_id)
    if member is not None:
        await work.chat_members.leave(chat, member, system_clock())


async def hand_over_party_chat(event: OwnerChanged, work: ChatWork) -> None:
    """The party's owner is the chat's."""
    chat = await work.chats.find_of_party(event.party_id)
    if chat is None:
        return
    for member in await work.chat_members.present(chat.id):
        role = ChatRole.OWNER if member.user_id == event.owner_id else ChatRole.MEMBER
        if member.role is not role:
            member.role = role
            await work.chat_members.save_role(member)


async def end_party_chat(event: PartyEnded, work: ChatWork) -> None:
    """A party takes its chat with it."""
    chat = await work.chats.find_of_party(event.party_id)
    if chat is not None:
        await end_chat(work, chat)


@dataclass(frozen=True, slots=True)
class PostCard:
    """A card that was drawn for a party stands in its chat, as nobody's message."""

    publish: bool

    async def __call__(self, event: CardDrawn, work: ChatWork) -> None:
        chat = await work.chats.find_of_party(event.party_id)
        if chat is None:
            return
        posted = await work.messages.post(Draft(event.message_id, chat.id, None, event.text))
        if self.publish:
            work.publish(MessagePosted(chat.id, posted.id, posted.seq, None))
