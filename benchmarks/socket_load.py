"""A process that speaks and listens over WebSockets: a job a line on stdin, an answer a line on stdout."""

import asyncio
import gc
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import cast

import uvloop

from benchmarks import proc
from benchmarks.percentiles import percentile

PLACE = "@#######@"
PATIENCE_S = 20.0
_NUMBER = re.compile(rb"@(\d{7})@")
# RFC 6455's own example of a key, and a mask that changes nothing: what a client spends is not measured here.
_KEY, _MASK = "dGhlIHNhbXBsZSBub25jZQ==", bytes(4)
_TEXT, _CLOSE, _FINAL, _MASKED = 0x1, 0x8, 0x80, 0x80
_TWO_BYTES, _EIGHT_BYTES = 126, 127


@dataclass(frozen=True, slots=True)
class Job:
    """What is said, in turn: so many times a second by one, or by each speaker as soon as it is answered.

    Each frame has a `PLACE` for its number. With listeners, what counts is when each of them has it; without, when
    its speaker has the answer. Whatever holds one of `unwanted` is a failure.
    """

    port: int
    pid: int
    """Of the server, whose processor time is told."""
    says: str
    """The path of those who speak."""
    frames: list[str]
    seconds: float
    warm_s: float
    hears: str = ""
    headers: list[str] = field(default_factory=list)
    greeting: str = ""
    """What each listener says first."""
    greeted: str = ""
    """What the answer to that holds."""
    speakers: int = 1
    listeners: int = 0
    rate: float = 0.0
    unwanted: tuple[str, ...] = ('"type":"error"', '"type":"gap"')


@dataclass(frozen=True, slots=True)
class Answer:
    """How many were heard a second, how long each took, and the server's processor time for each."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    heard: int


class Socket(asyncio.Protocol):
    """One WebSocket; it takes whole text frames."""

    def __init__(self, path: str, headers: list[str], heard: Callable[["Socket", bytes], None]) -> None:
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {_KEY}", "Sec-WebSocket-Version: 13", *headers]
        self._handshake = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self._heard = heard
        self._unread = b""
        self._open = False
        self._transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.write(self._handshake)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(str(exc or "the server closed a connection"))

    def data_received(self, data: bytes) -> None:
        self._unread = self._unread + data if self._unread else data
        if not self._open:
            self._read_handshake()
        while self._open and self._read_frame():
            pass

    def say(self, frame: bytes) -> None:
        """Send one text frame."""
        assert self._transport is not None
        size = len(frame)
        told = (
            bytes((_MASKED | size,))
            if size < _TWO_BYTES
            else bytes((_MASKED | _TWO_BYTES,)) + size.to_bytes(2)
        )
        self._transport.write(bytes((_FINAL | _TEXT,)) + told + _MASK + frame)

    def close(self) -> None:
        self.lost.cancel()
        self.ready.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _read_handshake(self) -> None:
        head, found, rest = self._unread.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            self._fail(self._unread.decode(errors="replace"))
            return
        self._unread, self._open = rest, True
        self.ready.set_result(None)

    def _read_frame(self) -> bool:
        have = self._unread
        if len(have) < 2:
            return False
        size, start = have[1], 2
        if size >= _TWO_BYTES:
            start = 4 if size == _TWO_BYTES else 10
            size = int.from_bytes(have[2:start])
        if len(have) < start + size:
            return False
        self._unread = have[start + size :]
        kind, frame = have[0] & 0xF, have[start : start + size]
        if kind == _TEXT:
            self._heard(self, frame)
        elif kind == _CLOSE:
            self._fail(f"the server said goodbye: {frame!r}")
        return True

    def _fail(self, why: str) -> None:
        for waiting in (self.ready, self.lost):
            if not waiting.done():
                waiting.set_exception(ConnectionError(why[:300]))


class Load:
    """One job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._now = time.perf_counter
        self._frames = cycle([tuple(frame.encode().split(PLACE.encode(), 1)) for frame in job.frames])
        self._unwanted = [one.encode() for one in job.unwanted]
        self._greeted = job.greeted.encode()
        self._sent: list[float] = []
        self._took: list[float] = []
        self._sockets: list[Socket] = []
        self._to_greet = job.listeners if job.greeting else 0
        self._all_greeted: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._open = 0
        self._begin = self._end = self._used_s = 0.0

    async def run(self) -> Answer:
        """Connect, speak, count."""
        try:
            async with asyncio.timeout(PATIENCE_S + self._job.seconds):
                return await self._measured()
        except TimeoutError:
            raise RuntimeError(f"{self._open} frames did not come") from None
        finally:
            for socket in self._sockets:
                socket.close()

    async def _measured(self) -> Answer:
        listeners = [await self._connect(self._job.hears, self._hear) for _ in range(self._job.listeners)]
        speakers = [await self._connect(self._job.says, self._answered) for _ in range(self._job.speakers)]
        for socket in listeners if self._job.greeting else ():
            socket.say(self._job.greeting.encode())
        if self._to_greet:
            await self._until(self._all_greeted)
        self._begin = self._now() + self._job.warm_s
        self._end = self._begin + self._job.seconds
        self._loop.call_later(self._job.warm_s, self._count_from_here)
        if self._job.rate:
            self._tick(speakers[0])
        else:
            for socket in speakers:
                self._next(socket)
        await self._until(self._ended)
        used_s = proc.cpu_s(self._job.pid) - self._used_s
        self._took.sort()
        return Answer(
            rate=len(self._took) / self._job.seconds,
            p50_ms=1000 * percentile(self._took, 50),
            p99_ms=1000 * percentile(self._took, 99),
            cpu_us=1e6 * used_s / max(1, len(self._took)),
            heard=len(self._took),
        )

    async def _connect(self, path: str, heard: Callable[[Socket, bytes], None]) -> Socket:
        _, socket = await self._loop.create_connection(
            lambda: Socket(path, self._job.headers, heard), "127.0.0.1", self._job.port
        )
        self._sockets.append(socket)
        await socket.ready
        return socket

    async def _until(self, awaited: asyncio.Future[None]) -> None:
        lost = [socket.lost for socket in self._sockets]
        done, _ = await asyncio.wait([awaited, *lost], return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()

    def _count_from_here(self) -> None:
        self._used_s = proc.cpu_s(self._job.pid)

    def _tick(self, speaker: Socket) -> None:
        now = self._now()
        if now >= self._end:
            self._check_end()
            return
        self._say(speaker, now, self._job.listeners)
        planned = self._begin - self._job.warm_s + len(self._sent) / self._job.rate
        self._loop.call_later(max(0.0, planned - self._now()), self._tick, speaker)

    def _next(self, speaker: Socket) -> None:
        now = self._now()
        if now >= self._end:
            self._check_end()
            return
        self._say(speaker, now, 1)

    def _say(self, speaker: Socket, now: float, heard_by: int) -> None:
        before, after = next(self._frames)
        number = b"@%07d@" % len(self._sent)
        self._sent.append(now)
        self._open += heard_by
        speaker.say(before + number + after)

    def _hear(self, _: Socket, frame: bytes) -> None:
        if self._to_greet and self._greeted in frame:
            self._to_greet -= 1
            if not self._to_greet:
                self._all_greeted.set_result(None)
            return
        if self._took_one(frame) and self._now() >= self._end:
            self._check_end()

    def _answered(self, speaker: Socket, frame: bytes) -> None:
        if self._job.rate:
            self._must_be_wanted(frame)
        elif self._took_one(frame):
            self._next(speaker)

    def _took_one(self, frame: bytes) -> bool:
        found = _NUMBER.search(frame)
        if found is None:
            self._must_be_wanted(frame)
            return False
        since = self._sent[int(found[1])]
        if since >= self._begin:
            self._took.append(self._now() - since)
        self._open -= 1
        return True

    def _must_be_wanted(self, frame: bytes) -> None:
        if any(one in frame for one in self._unwanted) and not self._ended.done():
            self._ended.set_exception(RuntimeError(frame.decode()))

    def _check_end(self) -> None:
        if self._open == 0 and not self._ended.done():
            self._ended.set_result(None)


def main() -> None:
    """Answer jobs until stdin ends."""
    gc.disable()
    for line in sys.stdin:
        try:
            told: dict[str, object] = asdict(uvloop.run(_one(Job(**json.loads(line)))))
        except (RuntimeError, OSError) as failure:
            told = {"failure": str(failure)}
        gc.collect()
        print(json.dumps(told), flush=True)


async def _one(job: Job) -> Answer:
    return await Load(job).run()


if __name__ == "__main__":
    main()
