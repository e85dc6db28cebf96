"""One WebSocket that stays: opened with a ticket, kept alive, opened again, and everything on it resumed."""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator
from typing import Any, Self
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from parlor.client.chats import LiveChat
from parlor.client.errors import ClientError, Refused, Unreachable
from parlor.client.mailbox import Closed, Frame, Mailbox
from parlor.client.rest import Rest
from parlor.client.tasks import ENDED

SIGNALS = 256
SENDS = 64  # messages on their way at once; more wait their turn
READS = 1_000
MAX_FRAME_BYTES = 8 * 1024 * 1024
OPEN_S = SAY_S = 10.0
CLOSE_S = 5.0
REPEAT_S = 10.0  # what is not answered for so long is said again
STEADY_S = 10.0  # a connection that held so long starts the backoff anew
SESSION_ENDED = 4401
NEVER = {403, 404}  # before the upgrade: an origin that may not, no such route


class Realtime:
    """Chats, tasks and signals over one connection; whoever reads them sees nothing of its being lost.

    `signals` gives what passes and is never repeated: `typing`, `read`, `presence`, and `error` frames that belong to
    nothing else; it keeps the newest 256. What ends all of it (a session that has ended, say) is raised to each reader.
    """

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.signals = Mailbox(SIGNALS)
        self._socket: ClientConnection | None = None
        self._chats: dict[str, LiveChat] = {}
        self._tasks: dict[str, Mailbox] = {}
        self._sends: dict[str, tuple[Frame, asyncio.Future[Any]]] = {}
        self._room = asyncio.Semaphore(SENDS)
        self._reads: dict[str, int] = {}
        self._jitter_s = 0.0
        self._running: asyncio.Task[None] | None = None
        self._over: Exception | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(self._ended)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait({self._running})

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
                    await self._say(frame)
                    await asyncio.wait({answer}, timeout=REPEAT_S)
                return answer.result()
            finally:
                del self._sends[name]

    async def typing(self, chat_id: str) -> None:
        """Show that one is typing; lost where the connection is away."""
        await self._say({"type": "typing", "chat_id": chat_id})

    async def read(self, chat_id: str, seq: int) -> None:
        """Tell how far one has read; said again after a reconnection."""
        self._reads[chat_id] = max(seq, self._reads.pop(chat_id, 0))
        if len(self._reads) > READS:
            del self._reads[next(iter(self._reads))]
        await self._say(_read(chat_id, self._reads[chat_id]))

    async def watch_task(self, task_id: str) -> AsyncGenerator[Any]:
        """Give the task as it is, then newer states, until it has ended. Raises Refused."""
        self._go_on()
        if task_id in self._tasks:
            raise ValueError(f"{task_id} is watched")
        told = self._tasks[task_id] = Mailbox(1)  # a newer state stands for all before it
        version = -1
        try:
            await self._say(_watch(task_id))
            while True:
                try:
                    async with asyncio.timeout(REPEAT_S):
                        task = await told.get()
                except TimeoutError:
                    await self._say(_watch(task_id))
                    continue
                except Closed:
                    return
                if task["version"] > version:
                    version = task["version"]
                    yield task
                if task["status"] in ENDED:
                    return
        finally:
            del self._tasks[task_id]

    async def subscribe(self, chat: LiveChat) -> None:
        """Begin to follow; for LiveChat."""
        self._go_on()
        if chat.chat_id in self._chats:
            raise ValueError(f"{chat.chat_id} is followed")
        self._chats[chat.chat_id] = chat
        await self._say(chat.subscription())

    async def unsubscribe(self, chat: LiveChat) -> None:
        """Follow no longer; for LiveChat."""
        if self._chats.get(chat.chat_id) is chat:
            del self._chats[chat.chat_id]
            await self._say({"type": "unsubscribe", "chat_id": chat.chat_id})

    def _go_on(self) -> None:
        if self._over is not None:
            raise self._over

    async def _say(self, frame: Frame) -> None:
        """Write a frame; without a connection it waits for the next one's resumption, or is meant to be lost."""
        socket = self._socket
        if socket is None:
            return
        try:
            async with asyncio.timeout(SAY_S):
                await socket.send(json.dumps(frame))
        except ConnectionClosed:
            pass  # the same
        except TimeoutError:
            socket.transport.abort()

    async def _run(self) -> None:
        """Connect, again and again; raises what no further attempt mends."""
        attempt = 0
        while True:
            begun, at_least = time.monotonic(), 0.0
            try:
                await self._connection()
            except InvalidStatus as error:
                if error.response.status_code in NEVER:
                    raise Refused(f"http_{error.response.status_code}") from error
            except ClientError as error:
                if not error.temporary:
                    raise
                at_least = error.retry_after
            except (OSError, WebSocketException, ValueError):
                pass  # no connection, or not one that speaks as it should
            attempt = 0 if time.monotonic() - begun > STEADY_S else attempt + 1
            at_least += random.uniform(0, self._jitter_s)  # noqa: S311 - spreads load, guards nothing
            await asyncio.sleep(self.rest.backoff.pause(attempt, at_least=at_least))

    async def _connection(self) -> None:
        """Open one, resume everything, and listen until it ends."""
        ticket = await self.rest.post("/realtime/tickets")
        address = f"ws{self.rest.base_url.removeprefix('http')}/realtime?ticket={ticket['ticket']}"
        options: Any = {"open_timeout": OPEN_S, "close_timeout": CLOSE_S, "ping_interval": None}
        if self.rest.tls is not None and address.startswith("wss"):
            options["ssl"] = self.rest.tls
        async with connect(address, max_size=MAX_FRAME_BYTES, **options) as socket:
            async with asyncio.timeout(OPEN_S):
                heartbeat_s, self._jitter_s = _greeting(json.loads(await socket.recv()))
            frames, self._socket = self._resumption(), socket
            try:
                for frame in frames:
                    await self._say(frame)
                await self._listen(socket, heartbeat_s)
            finally:
                self._socket = None
                await socket.close()
        if socket.close_code == SESSION_ENDED:
            await self.rest.session.refresh()

    def _resumption(self) -> list[Frame]:
        return [
            *(chat.subscription() for chat in self._chats.values()),
            *(frame for frame, _ in self._sends.values()),
            *(_read(*one) for one in self._reads.items()),
            *map(_watch, self._tasks),
        ]

    async def _listen(self, socket: ClientConnection, heartbeat_s: float) -> None:
        """Take frames; say something every heartbeat, and leave a server that says nothing for a whole one."""
        heard, ping_at = True, asyncio.get_running_loop().time() + heartbeat_s
        while True:
            try:
                async with asyncio.timeout_at(ping_at):
                    frame = json.loads(await socket.recv())
            except ConnectionClosed:
                return
            except TimeoutError:
                if not heard:
                    socket.transport.abort()
                    return
                heard, ping_at = False, ping_at + heartbeat_s
                await self._say({"type": "ping"})
            else:
                heard = True
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        match frame:
            case {"type": "sent", "client_id": name, "message": message} if name in self._sends:
                _settle(self._sends[name][1], message)
            case {"type": "error", "client_id": name} if name in self._sends:
                _settle(self._sends[name][1], _refusal(frame))
            case {"type": "task", "task": task} if task["id"] in self._tasks:
                self._tasks[task["id"]].put(task)
            case {"type": "error", "task_id": name} if name in self._tasks:
                self._tasks[name].end(_refusal(frame))
            case {"type": "error", "chat_id": name} if name in self._chats and not self._chats[name].answered:
                self._chats.pop(name).end("refused", _refusal(frame))
            case {"type": "unsubscribed", "chat_id": name, "reason": reason}:
                if reason != "asked" and name in self._chats:
                    self._chats.pop(name).end(reason)
            case {"type": "typing" | "read" | "presence" | "error"}:
                self.signals.put(frame)
            case {"chat_id": name} if name in self._chats:
                self._chats[name].arrive(frame)
            case _:
                pass  # pong, what was asked for no longer, and sorts that are newer than this client

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


def _settle(answer: asyncio.Future[Any], with_: Any) -> None:
    if answer.done():
        return
    if isinstance(with_, Exception):
        answer.set_exception(with_)
    else:
        answer.set_result(with_)


def _greeting(frame: Frame) -> tuple[float, float]:
    match frame:
        case {"type": "hello", "heartbeat_s": heartbeat_s, "retry_jitter_s": jitter_s}:
            return heartbeat_s, jitter_s
        case _:
            raise ValueError("no hello")


def _refusal(frame: Frame) -> Refused:
    return Refused(frame.get("code", "error"), frame.get("detail", ""))


def _read(chat_id: str, seq: int) -> Frame:
    return {"type": "read", "chat_id": chat_id, "seq": seq}


def _watch(task_id: str) -> Frame:
    return {"type": "watch_task", "task_id": task_id}
