"""The feed over Redis pub/sub: one connection that listens, and one for what is published."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog
from redis.asyncio import Connection
from redis.exceptions import RedisError

from parlor.adapters.redis.client import RedisAway, RedisLink, SeldomLog
from parlor.adapters.redis.outlet import RedisOutlet

log = structlog.get_logger()

PING_S = 2.0
SILENCE_S = 5.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0

Listener = Callable[[bytes], None]
Resumed = Callable[[], None]


class RedisFeed:
    """Port Feed, between `start` and `close`; it connects again by itself, for as long as it takes.

    A channel is live from Redis's word that it is subscribed until the connection is lost, or silent for 5 s.
    While it is not, what this process publishes reaches at least its own listeners.
    """

    def __init__(self, link: RedisLink, *, namespace: str) -> None:
        self._link = link
        self._outlet = RedisOutlet(link.connection)
        self._prefix = f"{namespace}:feed:"
        self._listeners: dict[str, dict[object, Listener]] = {}
        self._resumed: dict[str, dict[object, Resumed]] = {}
        self._asked: set[str] = set()
        self._unanswered: Counter[str] = Counter()
        self._live: set[str] = set()
        self._changed = asyncio.Event()
        self._pause_s = FIRST_PAUSE_S
        self._log = SeldomLog()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect; does not wait for it."""
        self._keeper = asyncio.create_task(self._keep_connected())

    async def close(self) -> None:
        """End the connection; nothing is live from then on."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        await self._outlet.close()

    def live(self, channel: str) -> bool:
        """Whether Redis has said that we are subscribed, on a connection that still speaks."""
        return channel in self._live

    @property
    def hears(self) -> bool:
        """Whether anything that is listened to is live."""
        return bool(self._live)

    async def publish(self, channel: str, message: bytes, *, repeatable: bool = False) -> None:
        """Send through Redis, which sends it back to this process too."""
        if repeatable:
            self._tell_soon(channel, message)
        with suppress(RedisAway):
            await self._link.ask(lambda _: self._outlet.publish(self._prefix + channel, message))
        if channel not in self._live and not repeatable:
            self._tell_soon(channel, message)

    def listen(self, channel: str, heard: Listener, resumed: Resumed | None = None) -> Callable[[], None]:
        """Subscribe with the first listener of a channel, unsubscribe with the end of its last."""
        ticket = object()
        self._listeners.setdefault(channel, {})[ticket] = heard
        if resumed is not None:
            self._resumed.setdefault(channel, {})[ticket] = resumed
        self._changed.set()

        def end() -> None:
            listeners = self._listeners.get(channel, {})
            self._resumed.get(channel, {}).pop(ticket, None)
            if listeners.pop(ticket, None) is not None and not listeners:
                del self._listeners[channel]
                self._resumed.pop(channel, None)
                self._changed.set()

        return end

    async def _keep_connected(self) -> None:
        while True:
            try:
                await self._stay_connected()
            except (RedisError, OSError) as lost:
                self._log.warning("feed_lost", lost)
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    async def _stay_connected(self) -> None:
        connection = self._link.connection()
        try:
            async with asyncio.timeout(SILENCE_S):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's own gap
            self._pause_s = FIRST_PAUSE_S
            await self._talk(connection)
        finally:
            for forgotten in (self._live, self._asked, self._unanswered):
                forgotten.clear()
            await connection.disconnect(nowait=True)

    async def _talk(self, connection: Connection) -> None:
        # Not a TaskGroup: 3.11's forgets that it was cancelled when one of its own fails at the same time.
        both = [asyncio.create_task(self._speak(connection)), asyncio.create_task(self._hear(connection))]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        for each in done:
            each.result()

    async def _speak(self, connection: Connection) -> None:
        while True:
            self._changed.clear()
            wanted = set(self._listeners)
            await self._say(connection, "SUBSCRIBE", wanted - self._asked)
            await self._say(connection, "UNSUBSCRIBE", self._asked - wanted)
            self._asked = wanted
            try:
                async with asyncio.timeout(PING_S):
                    await self._changed.wait()
            except TimeoutError:
                await connection.send_command("PING", check_health=False)

    async def _say(self, connection: Connection, command: str, channels: set[str]) -> None:
        if channels:
            self._live -= channels
            self._unanswered.update(channels)
            names = (self._prefix + channel for channel in channels)
            await connection.send_command(command, *names, check_health=False)

    async def _hear(self, connection: Connection) -> None:
        while True:
            reply = await connection.read_response(timeout=SILENCE_S, disconnect_on_error=False)
            match reply:
                case None:
                    raise TimeoutError("Redis is silent on the feed's connection")
                case [b"message", bytes() as name, bytes() as message]:
                    self._tell(self._channel(name), message)
                case [b"subscribe" | b"unsubscribe" as what, bytes() as name, _]:
                    self._confirm(self._channel(name), subscribed=what == b"subscribe")

    def _confirm(self, channel: str, *, subscribed: bool) -> None:
        # Only the answer to the last word counts: between an earlier one and it, hints were lost.
        self._unanswered[channel] -= 1
        if self._unanswered[channel] > 0:
            return
        del self._unanswered[channel]
        if subscribed:
            self._live.add(channel)
            for resumed in tuple(self._resumed.get(channel, {}).values()):
                self._call(channel, resumed)

    def _tell_soon(self, channel: str, message: bytes) -> None:
        if channel in self._listeners:
            asyncio.get_running_loop().call_soon(self._tell, channel, message)

    def _tell(self, channel: str, message: bytes) -> None:
        for heard in tuple(self._listeners.get(channel, {}).values()):
            self._call(channel, partial(heard, message))

    @staticmethod
    def _call(channel: str, listener: Callable[[], None]) -> None:
        try:
            listener()
        except Exception:  # one listener's mistake must not end the hearing of all
            log.exception("feed_listener_failed", channel=channel)

    def _channel(self, name: bytes) -> str:
        return name.decode()[len(self._prefix) :]
