"""Builders for outgoing HTTP: a guarded caller, a request, and names that mean what a test says."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from parlor.adapters.http.caller import GuardedCaller
from parlor.adapters.http.guard import AllowList, SystemResolver
from parlor.core.tasks.http_request import HttpAnswer, Method, Outgoing

LOOPBACK = "127.0.0.0/8"


@dataclass(slots=True)
class FakeNames:
    """A resolver whose answers are set, and may change from one question to the next."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        found = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return found


def a_caller(
    allow: str = "", names: FakeNames | SystemResolver | None = None, silence_s: float = 30.0
) -> GuardedCaller:
    return GuardedCaller(allow=AllowList.parse(allow), resolve=names or SystemResolver(), silence_s=silence_s)


def a_request(
    url: str,
    method: Method = "GET",
    headers: dict[str, str] | None = None,
    content: bytes | None = None,
) -> Outgoing:
    return Outgoing(method=method, url=url, headers=headers or {}, content=content)


async def get(url: str, allow: str = LOOPBACK, names: FakeNames | None = None) -> HttpAnswer:
    return await a_caller(allow, names).call(a_request(url))
