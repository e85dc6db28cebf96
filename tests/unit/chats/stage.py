"""A small house in memory: people, and everything that they can do with chats."""

from dataclasses import dataclass, field

from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.members import AddMember, LeaveAllGroups, ReadUpTo, RemoveMember
from parlor.core.chats.messages import Message, Posted
from parlor.core.chats.model import ChatKind, ChatMember, NewChat
from parlor.core.chats.posting import DeleteMessage, EditMessage, PostMessage, React, Unreact
from parlor.core.chats.use_cases import DeleteChat, OpenChat, RenameChat
from parlor.core.shared.actor import Actor
from parlor.core.shared.ids import ChatId, MessageId, UserId
from tests.builders import a_user, an_actor
from tests.fakes.chats import ChatStore, FakePosts
from tests.fakes.clock import FakeClock
from tests.fakes.work import FakeDatabase, Reactions


@dataclass
class Stage:
    """Each use case once, over one store."""

    reactions: Reactions = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    database: FakeDatabase = field(init=False)

    def __post_init__(self) -> None:
        self.database = FakeDatabase(self.clock, self.reactions)
        work, clock = self.database.work, self.clock
        self.open, self.rename, self.end = OpenChat(work, clock), RenameChat(work, clock), DeleteChat(work)
        self.add, self.remove = AddMember(work, clock), RemoveMember(work, clock)
        self.read, self.farewell = ReadUpTo(work), LeaveAllGroups(work, clock)
        self.post, self.edit = PostMessage(FakePosts(work)), EditMessage(work, clock)
        self.delete, self.react, self.unreact = DeleteMessage(work, clock), React(work), Unreact(work)

    @property
    def store(self) -> ChatStore:
        return self.database.store.chats

    async def person(self, *permissions: str) -> Actor:
        user = a_user()
        async with self.database.work() as work:
            await work.users.add(user)
        return an_actor(*permissions, user_id=user.id)

    async def group(self, owner: Actor, *others: Actor) -> ChatId:
        opened = await self.open(owner, NewChat(ChatKind.GROUP, "Fans", [id_of(one) for one in others]))
        return opened.chat_id

    async def direct(self, one: Actor, other: Actor) -> ChatId:
        return (await self.open(one, NewChat(ChatKind.DIRECT, member_ids=[id_of(other)]))).chat_id

    async def says(self, author: Actor, chat_id: ChatId, text: str = "hi") -> MessageId:
        posted: Posted = await self.post(author, chat_id, text)
        return posted.id

    def member(self, chat_id: ChatId, actor: Actor) -> ChatMember:
        return self.store.members[chat_id, id_of(actor)]

    def message(self, message_id: MessageId) -> Message:
        return self.store.messages[message_id]

    def told(self) -> list[tuple[ChangeKind, int]]:
        return [(change.kind, change.rev) for change in self.store.changes]

    def last(self) -> Change:
        return self.store.changes[-1]


def id_of(actor: Actor) -> UserId:
    assert actor.user_id is not None
    return actor.user_id
