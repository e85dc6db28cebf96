"""What is said over one WebSocket: frames that come, and what they lead to."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import singledispatchmethod
from typing import Any

import orjson

from parlor.container import Container
from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.following import Follow, Following
from parlor.core.chats.frames import Frame, Reason, presence, unsubscribed
from parlor.core.chats.live import Live
from parlor.core.chats.members import ReadUpTo
from parlor.core.chats.messages import Posted
from parlor.core.chats.model import person
from parlor.core.chats.posting import PostMessage
from parlor.core.chats.presence import Company
from parlor.core.chats.reading import ChatLog
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound, ParlorError, TooMany
from parlor.core.shared.ids import ChatId, MessageId, TaskId, UserId
from parlor.core.shared.spans import SpanKind, Tracer, within_span
from parlor.core.shared.tracing import current_trace
from parlor.core.tasks.watching import Sight, WatchTask
from parlor.entrypoints.http.errors import BadRequest
from parlor.entrypoints.http.frames import (
    AnyFrame,
    Ping,
    Read,
    SendMessage,
    Subscribe,
    Typing,
    Unsubscribe,
    WatchOneTask,
    error_frame,
    frame_of,
    json_of,
)
from parlor.entrypoints.http.mailbox import Mailbox
from parlor.lines import named

MAX_FRAME = 65_536
MOST_WATCHES = 50
TOO_MUCH = 4429
TOO_BIG = 1009
LOOK_S = 15.0
PONG = Frame(b'{"type":"pong"}')


class TooManySubscriptions(TooMany):
    """You follow as many chats, or watch as many tasks, as one connection may."""

    code = "too_many_subscriptions"


class TooManyFrames(TooMany):
    """You send more frames a second than one connection may."""

    code = "too_many_frames"


class FrameTooLarge(BadRequest):
    """A frame has at most 64 KiB."""

    code = "frame_too_large"


class Closing(Exception):
    """The connection ends with this code, after an error frame that says why."""

    def __init__(self, code: int, error: ParlorError) -> None:
        super().__init__(code)
        self.code = code
        self.error = error


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one connection may ask for."""

    subscriptions: int
    frames_per_s: int


@dataclass(frozen=True, slots=True)
class Offers:
    """What can be done over a connection."""

    follow: Follow
    live: Live
    log: ChatLog
    watch: WatchTask
    post: Callable[..., Awaitable[Posted]]
    read: Callable[..., Awaitable[None]]

    @classmethod
    def of(cls, container: Container) -> "Offers":
        """Take them from the container."""
        return cls(
            follow=container.build(Follow),
            live=container.get(Live),
            log=container.get(ChatLog),
            watch=container.build(WatchTask),
            post=container.command(PostMessage),
            read=container.command(ReadUpTo),
        )


@dataclass(eq=False, slots=True)
class Conversation:
    """One connection's side of it; a Listener of the chats that it follows."""

    offers: Offers
    limits: Limits
    actor: Actor
    tracer: Tracer | None = None
    mailbox: Mailbox = field(default_factory=Mailbox)
    _follows: dict[ChatId, Following] = field(init=False, default_factory=dict[ChatId, Following])
    _watches: dict[TaskId, asyncio.Task[None]] = field(
        init=False, default_factory=dict[TaskId, asyncio.Task[None]]
    )
    _company: Company = field(init=False, default_factory=Company)
    _frames: float = field(init=False, default=0.0)
    _counted_at: float = field(init=False, default=0.0)

    @property
    def user_id(self) -> UserId:
        """Whose connection it is."""
        return person(self.actor)

    @property
    def subscriptions(self) -> int:
        """How many chats it follows."""
        return sum(held.stands for held in self._follows.values())

    def tell(self, frame: Frame) -> None:
        """Take what a chat has to tell."""
        self.mailbox.put(frame)

    def show(self, chat_id: ChatId, user_id: UserId, *, online: bool) -> None:
        """Take who is there; one's own presence is no news."""
        if user_id != self.user_id and self._company.show(chat_id, user_id, online=online):
            self.mailbox.put(presence(user_id, online=online))

    async def ready(self) -> None:
        """Wait until there is room for an answer."""
        await self.mailbox.ready()

    async def take(self, message: Mapping[str, Any]) -> None:
        """Do what a frame asks for, and answer. Raises Closing where it is too much."""
        text = message.get("text")
        self._count_frame()
        if text is not None and len(text) > MAX_FRAME // 4 and len(text.encode()) > MAX_FRAME:
            raise Closing(TOO_BIG, FrameTooLarge())
        await self.ready()
        fields: Mapping[str, Any] = {}
        try:
            fields = json_of(text)
            frame = frame_of(fields)
            with self._in_span(frame):
                await self._do(frame)
        except ParlorError as error:
            self._answer(error_frame(error, fields))
            if isinstance(error, TooManySubscriptions):
                raise Closing(TOO_MUCH, error) from error

    def close(self) -> None:
        """Follow and watch nothing any more."""
        for following in self._follows.values():
            following.stop()
        for watching in self._watches.values():
            watching.cancel()

    def _in_span(self, frame: AnyFrame) -> AbstractContextManager[object]:
        """Make each frame a trace of its own, for a connection lasts for hours; it names the one that opened it."""
        if self.tracer is None or isinstance(frame, Ping):
            return nullcontext()
        name, facts = f"realtime {frame.type}", {"parlor.actor": named(self.actor)}
        return within_span(self.tracer, name, SpanKind.SERVER, root=True, link=current_trace(), facts=facts)

    @singledispatchmethod
    async def _do(self, frame: AnyFrame) -> None:
        raise NotImplementedError(frame.type)

    @_do.register
    async def _(self, frame: Subscribe) -> None:
        chat_id = ChatId(frame.chat_id)
        self._forget(chat_id)
        for ended in [one for one, held in self._follows.items() if not held.stands]:
            self._forget(ended)
        if len(self._follows) >= self.limits.subscriptions:
            raise TooManySubscriptions
        following = await self.offers.follow(self.actor, chat_id, frame.since_rev, self)
        self._follows[chat_id] = following

    @_do.register
    async def _(self, frame: Unsubscribe) -> None:
        chat_id = ChatId(frame.chat_id)
        if not self._forget(chat_id):
            raise NotFound("You do not follow this chat.")
        self.mailbox.put(unsubscribed(chat_id, Reason.ASKED))

    @_do.register
    async def _(self, frame: SendMessage) -> None:
        reply_to = None if frame.reply_to is None else MessageId(frame.reply_to)
        posted = await self.offers.post(
            self.actor, ChatId(frame.chat_id), frame.text, reply_to=reply_to, client_id=frame.client_id
        )
        named = orjson.dumps(frame.client_id)
        self._answer(b'{"type":"sent","client_id":%b,"message":%b}' % (named, posted.json))

    @_do.register
    async def _(self, frame: Typing) -> None:
        chat_id = ChatId(frame.chat_id)
        following = self._follows.get(chat_id)
        if following is None or not following.stands:
            await self.offers.log.standing(self.actor, chat_id)
        await self.offers.live.say(Change(chat_id, 0, ChangeKind.TYPING, user_id=self.user_id))

    @_do.register
    async def _(self, frame: Read) -> None:
        await self.offers.read(self.actor, ChatId(frame.chat_id), frame.seq)

    @_do.register
    async def _(self, frame: WatchOneTask) -> None:
        task_id = TaskId(frame.task_id)
        earlier = self._watches.pop(task_id, None)
        if earlier is not None:
            earlier.cancel()
        if len(self._watches) >= MOST_WATCHES:
            raise TooManySubscriptions
        self._watches[task_id] = asyncio.create_task(self._watch(task_id))

    @_do.register
    async def _(self, _: Ping) -> None:
        self.mailbox.put(PONG)

    async def _watch(self, task_id: TaskId) -> None:
        try:
            async with self.offers.watch(self.actor, task_id) as watch:
                sight: Sight | None = watch.first
                while True:
                    if sight is not None:
                        await self.ready()
                        self._answer(b'{"type":"task","task":%b}' % sight.json)
                        if sight.ended:
                            return
                    sight = await watch.next(LOOK_S)
        except ParlorError as error:
            self._answer(error_frame(error, {"task_id": str(task_id)}))
        finally:
            if self._watches.get(task_id) is asyncio.current_task():
                del self._watches[task_id]

    def _answer(self, json: bytes) -> None:
        self.mailbox.put(Frame(json))

    def _forget(self, chat_id: ChatId) -> bool:
        self._company.forget(chat_id)
        following = self._follows.pop(chat_id, None)
        if following is None:
            return False
        stood = following.stands
        following.stop()
        return stood

    def _count_frame(self) -> None:
        """Count in a bucket that drains; it holds what a client says at once after a reconnection."""
        now, rate = asyncio.get_running_loop().time(), self.limits.frames_per_s
        self._frames = max(0.0, self._frames - (now - self._counted_at) * rate) + 1
        self._counted_at = now
        if self._frames > 2 * rate + self.limits.subscriptions:
            raise Closing(TOO_MUCH, TooManyFrames())
