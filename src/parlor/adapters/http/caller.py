"""Outgoing HTTP behind the guard: one call, its redirects, and no connection that outlives it."""

import ssl
from dataclasses import dataclass, field
from time import perf_counter

import httpcore
import httpx

from parlor.adapters.http.guard import AllowList, GuardedBackend, Resolve, SystemResolver
from parlor.adapters.http.hops import Hop
from parlor.adapters.http.reading import read_body, read_headers
from parlor.core.tasks.http_request import DestinationUnreachable, HttpAnswer, Outgoing

MAX_REDIRECTS = 5
BROKEN = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)


@dataclass(frozen=True, slots=True)
class GuardedCaller:
    """Calls over httpcore: no proxy, no cookies, nothing from the environment, every connection guarded.

    `silence_s` ends a call that nobody else does: the longest wait for the next byte, either way.
    """

    allow: AllowList = field(default_factory=AllowList)
    resolve: Resolve = field(default_factory=SystemResolver)
    tls: ssl.SSLContext = field(default_factory=httpx.create_ssl_context)
    connect_timeout_s: float = 3.0
    silence_s: float = 300.0

    async def call(self, outgoing: Outgoing) -> HttpAnswer:
        """Send it; raises DestinationBlocked, DestinationUnreachable."""
        started = perf_counter()
        hop = Hop.first(outgoing)
        try:
            async with self._pool() as pool:
                return await self._send(pool, hop, MAX_REDIRECTS, started)
        except BROKEN as error:
            raise DestinationUnreachable(f"No whole answer came ({type(error).__name__}).") from error

    async def _send(
        self, pool: httpcore.AsyncConnectionPool, hop: Hop, redirects: int, started: float
    ) -> HttpAnswer:
        async with pool.stream(
            hop.method, hop.target, headers=hop.head, content=hop.body, extensions={"timeout": self._timeouts}
        ) as response:
            headers = read_headers(response.headers)
            onward = hop.after(response.status, headers.get("location")) if redirects else None
            if onward is None:
                body = await read_body(response, headers)
                elapsed_ms = round((perf_counter() - started) * 1000)
                return HttpAnswer(response.status, headers, body.text, body.truncated, elapsed_ms)
        return await self._send(pool, onward, redirects - 1, started)

    def _pool(self) -> httpcore.AsyncConnectionPool:
        guarded = GuardedBackend(self.allow, self.resolve)
        return httpcore.AsyncConnectionPool(
            ssl_context=self.tls, max_keepalive_connections=0, network_backend=guarded
        )

    @property
    def _timeouts(self) -> dict[str, float]:
        waits = {"read": self.silence_s, "write": self.silence_s}
        return {"connect": self.connect_timeout_s, "pool": self.connect_timeout_s, **waits}
