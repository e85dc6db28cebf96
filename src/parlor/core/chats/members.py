"""Who comes into a group, who goes, and what they have read."""

from dataclasses import dataclass

from parlor.core.chats.model import ChatRole, person
from parlor.core.chats.ports import ChatWork
from parlor.core.chats.use_cases import owned_group, pass_on
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import NotFound, UnknownUser
from parlor.core.shared.ids import ChatId, UserId
from parlor.core.shared.work import UnitOfWork

FAREWELLS = 50


@dataclass(frozen=True, slots=True)
class AddMember:
    """The owner of a group takes somebody in, who then sees all that was written; tells whether that is news."""

    work: UnitOfWork[ChatWork]
    clock: Clock

    async def __call__(self, actor: Actor, chat_id: ChatId, user_id: UserId) -> bool:
        async with self.work() as work:
            chat = await owned_group(work, chat_id, person(actor))
            if await work.chat_members.find(chat_id, user_id) is not None:
                return False
            if not await work.chat_people.active([user_id]):
                raise UnknownUser("/user_id")
            chat.must_have_room()
            await work.chat_members.join(chat, user_id, ChatRole.MEMBER, self.clock())
        return True


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """The owner of a group puts somebody out, or anybody leaves: an owner hands over, the last one ends it."""

    work: UnitOfWork[ChatWork]
    clock: Clock

    async def __call__(self, actor: Actor, chat_id: ChatId, user_id: UserId) -> None:
        caller = person(actor)
        async with self.work() as work:
            chat = await work.chats.get(chat_id)
            member = await work.chat_members.get(chat_id, caller)
            leaver = member if user_id == caller else await work.chat_members.get(chat_id, user_id)
            chat.must_be_group()
            if leaver is not member:
                member.must_own()
            await pass_on(work, chat, leaver, self.clock())


@dataclass(frozen=True, slots=True)
class ReadUpTo:
    """A member has read a chat up to a message: never back, and never beyond the last one."""

    work: UnitOfWork[ChatWork]

    async def __call__(self, actor: Actor, chat_id: ChatId, seq: int) -> None:
        async with self.work() as work:
            await work.chat_members.read_up_to(chat_id, person(actor), seq)


@dataclass(frozen=True, slots=True)
class LeaveAllGroups:
    """Port Farewell: whoever deletes their account leaves every group. Their direct chats stay, for the other."""

    work: UnitOfWork[ChatWork]
    clock: Clock

    async def __call__(self, user_id: UserId) -> None:
        while chat_ids := await self._groups_of(user_id):
            for chat_id in chat_ids:
                await self._leave(chat_id, user_id)

    async def _groups_of(self, user_id: UserId) -> list[ChatId]:
        async with self.work() as work:
            return list(await work.chat_members.groups_of(user_id, limit=FAREWELLS))

    async def _leave(self, chat_id: ChatId, user_id: UserId) -> None:
        try:
            async with self.work() as work:
                chat = await work.chats.get(chat_id)
                member = await work.chat_members.get(chat_id, user_id)
                await pass_on(work, chat, member, self.clock())
        except NotFound:  # somebody else put them out just now
            return
