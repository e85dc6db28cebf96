"""A process that sends HTTP requests: a job a line on stdin, an answer a line on stdout."""

import asyncio
import gc
import json
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import cast

import uvloop

from benchmarks.percentiles import percentile

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# Who is refused as too many comes again after a while, and is counted then.
BUSY, PAUSE_S = 503, 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """Requests, sent in turn: for some seconds, or so many; as fast as answers come, or so many a second."""

    port: int
    requests: list[str]
    connections: int
    seconds: float = 0.0
    warm_s: float = 0.0
    count: int = 0
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """How many were answered a second, how long each took, and with which status."""

    rate: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int] = field(default_factory=dict)


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, answered: Callable[["Connection", float, int], None]) -> None:
        self._answered = answered
        self._since = 0.0
        self._unread = b""
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_exception(exc or ConnectionError("the server closed a connection"))

    def send(self, request: bytes, since: float) -> None:
        """Send one; it counts from `since`."""
        assert self._transport is not None
        self._since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Look whether the answer is complete."""
        if self._unread:
            data = self._unread + data
        head = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, head) if head >= 0 else None
        if head < 0 or len(data) < head + 4 + (int(length[1]) if length else 0):
            self._unread = data
            return
        self._unread = b""
        self._answered(self, self._since, int(data[9:12]))

    def close(self) -> None:
        self.lost.cancel()
        if self._transport is not None:
            self._transport.close()


class Load:
    """One job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._now = time.perf_counter  # uvloop's own clock ticks once a millisecond
        self._requests = cycle([request.encode() for request in job.requests])
        self._took: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._connections: list[Connection] = []
        self._begin = self._end = 0.0
        self._sent = self._open = 0
        self._idle: deque[Connection] = deque()
        self._late: deque[float] = deque()

    async def run(self) -> Answer:
        """Connect, send, count."""
        for _ in range(self._job.connections):
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._answered), "127.0.0.1", self._job.port
            )
            self._connections.append(connection)
        try:
            await self._measure()
        finally:
            for connection in self._connections:
                connection.close()
        took_s = (self._now() if self._job.count else self._end) - self._begin
        self._took.sort()
        return Answer(
            rate=len(self._took) / took_s,
            p50_ms=1000 * percentile(self._took, 50),
            p99_ms=1000 * percentile(self._took, 99),
            statuses={str(status): number for status, number in self._statuses.items()},
        )

    async def _measure(self) -> None:
        self._begin = self._now() + self._job.warm_s
        self._end = self._begin + (self._job.seconds or float("inf"))
        if self._job.rate:
            self._idle.extend(self._connections)
            self._tick(0)
        else:
            for connection in self._connections:
                self._next(connection)
        lost = [connection.lost for connection in self._connections]
        done, _ = await asyncio.wait([self._ended, *lost], return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()

    def _tick(self, number: int) -> None:
        """Send the next now, or when a connection is free; it counts from now."""
        now = self._now()
        if now >= self._end:
            self._check_end()
            return
        self._dispatch(now)
        planned = self._begin - self._job.warm_s + (number + 1) / self._job.rate
        self._loop.call_later(max(0.0, planned - now), self._tick, number + 1)

    def _dispatch(self, since: float) -> None:
        if self._idle:
            self._sent += 1
            self._open += 1
            self._idle.popleft().send(next(self._requests), since)
        else:
            self._late.append(since)

    def _next(self, connection: Connection) -> None:
        if self._job.count and self._sent >= self._job.count:
            self._check_end()
            return
        now = self._now()
        if now >= self._end:
            self._check_end()
            return
        self._sent += 1
        self._open += 1
        connection.send(next(self._requests), now)

    def _answered(self, connection: Connection, since: float, status: int) -> None:
        self._open -= 1
        self._statuses[status] += 1
        if status == BUSY:
            self._sent -= 1
            self._loop.call_later(PAUSE_S, self._next, connection)
            return
        now = self._now()
        if self._begin <= since and (now <= self._end or self._job.rate):
            self._took.append(now - since)
        if not self._job.rate:
            self._next(connection)
        else:
            self._idle.append(connection)
            if self._late:
                self._dispatch(self._late.popleft())
            elif now >= self._end:
                self._check_end()

    def _check_end(self) -> None:
        if self._open == 0 and not self._late and not self._ended.done():
            self._ended.set_result(None)


def main() -> None:
    """Answer jobs until stdin ends."""
    gc.disable()
    for line in sys.stdin:
        answer = uvloop.run(_one(Job(**json.loads(line))))
        gc.collect()
        print(json.dumps(asdict(answer)), flush=True)


async def _one(job: Job) -> Answer:
    return await Load(job).run()


if __name__ == "__main__":
    main()
