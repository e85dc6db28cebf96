"""Chats, messages, tasks and signals over one WebSocket; whoever reads them sees nothing of its being lost."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Self
from uuid import uuid4

from parlor.client.chats import LiveChat
from parlor.client.connection import Connection
from parlor.client.errors import Refused, Unreachable
from parlor.client.mailbox import Closed, Frame, Mailbox
from parlor.client.rest import Rest
from parlor.client.tasks import ENDED

SIGNALS = 256
SENDS = 64  # messages on their way at once; more wait their turn
READS = 64
REPEAT_S = 10.0  # what is not answered for so long is said again


class Realtime:
    """What one follows and says over one connection, and says again on the next.

    `signals` gives what passes and is never repeated: `typing`, `read`, `presence`, and `error` frames that belong to
    nothing else; it keeps the newest 256. What ends all of it (a session that has ended, say) is raised to each reader.
    """

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.signals = Mailbox(SIGNALS)
        self._connection = Connection(rest, self)
        self._chats: dict[str, LiveChat] = {}
        self._tasks: dict[str, Mailbox] = {}
        self._sends: dict[str, tuple[Frame, asyncio.Future[Any]]] = {}
        self._room = asyncio.Semaphore(SENDS)
        self._reads: dict[str, int] = {}
        self._later = set[asyncio.Task[None]]()
        self._running: asyncio.Task[None] | None = None
        self._over: Exception | None = Unreachable("open it first: async with")

    async def __aenter__(self) -> Self:
        self._over = None
        self._running = asyncio.create_task(self._connection.run())
        self._running.add_done_callback(self._ended)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        ending = {self._running, *self._later}
        for one in ending:
            one.cancel()
        await asyncio.wait(ending)

    def chat(self, chat_id: str, *, since_rev: int | None = None) -> LiveChat:
        """Follow a chat: what changed after `since_rev`, then whatever changes; without it, from now on."""
        return LiveChat(self, chat_id, since_rev)

    async def send(
        self, chat_id: str, text: str, *, client_id: str | None = None, timeout_s: float = 60
    ) -> Any:
        """Write into a chat, once, whatever happens to the connection; gives the message.

        Raises Refused, and TimeoutError: then it may have been written or not, and may be sent again under the same
        `client_id`.
        """
        name = client_id or str(uuid4())
        frame: Frame = {"type": "send", "chat_id": chat_id, "text": text, "client_id": name}
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(timeout_s), self._room:
            self._go_on()
            if name in self._sends:
                raise ValueError(f"{name} is on its way")
            self._sends[name] = (frame, answer)
            try:
                while not answer.done():
                    await self._connection.say(frame)
                    await asyncio.wait({answer}, timeout=REPEAT_S)
                return answer.result()
            finally:
                del self._sends[name]

    async def typing(self, chat_id: str) -> None:
        """Show that one is typing; lost where the connection is away."""
        await self._connection.say({"type": "typing", "chat_id": chat_id})

    async def read(self, chat_id: str, seq: int) -> None:
        """Tell how far one has read; the newest 64 chats' are said again after a reconnection."""
        self._reads[chat_id] = max(seq, self._reads.pop(chat_id, 0))
        if len(self._reads) > READS:
            del self._reads[next(iter(self._reads))]
        await self._connection.say(_read(chat_id, self._reads[chat_id]))

    async def watch_task(self, task_id: str) -> AsyncGenerator[Any]:
        """Give the task as it is, then newer states, until it has ended. Raises Refused."""
        self._go_on()
        if task_id in self._tasks:
            raise ValueError(f"{task_id} is watched")
        told = self._tasks[task_id] = Mailbox(1)  # a newer state stands for all before it
        version = -1
        try:
            await self._connection.say(_watch(task_id))
            while True:
                try:
                    async with asyncio.timeout(REPEAT_S):
                        task = await told.get()
                except TimeoutError:
                    await self._connection.say(_watch(task_id))
                    continue
                if task["version"] > version:
                    version = task["version"]
                    yield task
                if task["status"] in ENDED:
                    return
        except Closed:
            return
        finally:
            del self._tasks[task_id]

    async def subscribe(self, chat: LiveChat) -> None:
        """Begin to follow; for LiveChat."""
        self._go_on()
        if self._chats.setdefault(chat.chat_id, chat) is not chat:
            raise ValueError(f"{chat.chat_id} is followed")
        await self._connection.say(chat.subscription())

    async def unsubscribe(self, chat: LiveChat) -> None:
        """Follow no longer; for LiveChat."""
        if self._chats.get(chat.chat_id) is chat:
            del self._chats[chat.chat_id]
            await self._connection.say({"type": "unsubscribe", "chat_id": chat.chat_id})

    def resumption(self) -> list[Frame]:
        """Say again all that must not be lost; for Connection."""
        return [
            *(chat.subscription() for chat in self._chats.values()),
            *(frame for frame, _ in self._sends.values()),
            *(_read(*one) for one in self._reads.items()),
            *map(_watch, self._tasks),
        ]

    def take(self, frame: Frame) -> None:
        """Bring a frame to whom it is for; for Connection."""
        match frame:
            case {"type": "sent", "client_id": name, "message": message} if name in self._sends:
                _settle(self._sends[name][1], message)
            case {"type": "task", "task": {"id": name} as task} if name in self._tasks:
                self._tasks[name].put(task)
            case {"type": "error"}:
                self._fail(frame, _refusal(frame))
            case {"type": "unsubscribed", "chat_id": name, "reason": reason}:
                if reason != "asked" and name in self._chats:
                    self._chats.pop(name).end(reason)
            case {"type": "typing" | "read" | "presence"}:
                self.signals.put(frame)
            case {"chat_id": name} if name in self._chats:
                self._chats[name].arrive(frame)
            case _:
                pass  # pong, what was asked for no longer, and sorts that are newer than this client

    def _fail(self, frame: Frame, refusal: Refused) -> None:
        match frame:
            case _ if refusal.temporary and self._is_said_again(frame):
                pass
            case {"client_id": name} if name in self._sends:
                _settle(self._sends[name][1], refusal)
            case {"task_id": name} if name in self._tasks:
                self._tasks[name].end(refusal)
            case {"chat_id": name} if name in self._chats and not self._chats[name].answered:
                self._chats.pop(name).end("refused", refusal)
            case _:
                self.signals.put(frame)

    def _is_said_again(self, frame: Frame) -> bool:
        """Whether what could not be done now is repeated: sends and tasks anyway, a subscription from here."""
        chat = self._chats.get(frame.get("chat_id", ""))
        if chat is not None and not chat.answered and "client_id" not in frame:
            again = asyncio.create_task(self._subscribe_later(chat))
            self._later.add(again)
            again.add_done_callback(self._later.discard)
            return True
        return frame.get("client_id") in self._sends or frame.get("task_id") in self._tasks

    async def _subscribe_later(self, chat: LiveChat) -> None:
        await asyncio.sleep(self.rest.backoff.pause(0))
        if self._chats.get(chat.chat_id) is chat and not chat.answered:
            await self._connection.say(chat.subscription())

    def _go_on(self) -> None:
        if self._over is not None:
            raise self._over

    def _ended(self, running: asyncio.Task[None]) -> None:
        """Tell every reader that there is no more."""
        error = None if running.cancelled() else running.exception()
        reason = error if isinstance(error, Exception) else None
        self._over = reason or Unreachable("closed")
        self.signals.end(reason)
        for chat in self._chats.values():
            chat.end("closed", reason)
        for told in self._tasks.values():
            told.end(reason)
        for _, answer in self._sends.values():
            _settle(answer, self._over)


def _settle(answer: asyncio.Future[Any], outcome: Any) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def _refusal(frame: Frame) -> Refused:
    return Refused(frame.get("code", "error"), frame.get("detail", ""))


def _read(chat_id: str, seq: int) -> Frame:
    return {"type": "read", "chat_id": chat_id, "seq": seq}


def _watch(task_id: str) -> Frame:
    return {"type": "watch_task", "task_id": task_id}
