"""Chats and parties over HTTP and the WebSocket, beside the same work by hand on asyncpg."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from uuid import UUID

import asyncpg

from benchmarks import floor_chat, socket_load
from benchmarks.filled import chat, common_word, fill_chats, fill_parties, party
from benchmarks.http_api import Api, an_api, told
from benchmarks.load import Job
from benchmarks.loading import Loader, SocketLoader, a_loader, a_socket_loader, request
from benchmarks.plan import Plan
from benchmarks.stage import PYTHON, Child, Stage, free_port
from benchmarks.table import CPU, Measured, Operation, Row
from parlor.core.shared.ids import UserId

INSERT, SAME_PAGE, SOCKET = "asyncpg insert route", "asyncpg route, same page", "WebSocket, asyncpg insert"
POST = Operation("POST a message", INSERT, "requests/s", 0.50)
POST_HOT = Operation("POST a message, all into one chat", INSERT, "requests/s")
HISTORY = Operation("GET a page of 50 messages", SAME_PAGE, "requests/s", 0.60)
SEND = Operation("send a message over the WebSocket", SOCKET, "messages/s", 0.50)
SEARCH = Operation("GET a search in a chat", SAME_PAGE, "requests/s")
PARTIES = Operation("GET a search for parties", SAME_PAGE, "requests/s")
JOIN = Operation("POST a join of a party", INSERT, "requests/s")
OPERATIONS = (POST, POST_HOT, HISTORY, SEND, SEARCH, PARTIES, JOIN)
TEXT = "Sing the first song that comes to mind, or tell who you would rather be for a day."
OTHER = UserId(UUID("00000000-0000-7000-8000-00000000f00d"))
# What all of it is too much for, from one client and for one user.
GENEROUS = {"PARLOR_FRAMES_PER_S": "1000000", "PARLOR_SOCKETS_PER_USER": "1000"}

Measure = Callable[[], Awaitable[Measured]]


@dataclass(frozen=True, slots=True)
class Bench:
    """Both servers, both load processes, and what is asked for."""

    plan: Plan
    api: Api
    floor_port: int
    floor: Child
    http: Loader
    sockets: SocketLoader
    rows: int
    joined: "count[int]"

    def floors(self) -> dict[Operation, Measure]:
        """What is done by hand, for each operation."""
        posts = self._job(self.floor_port, [_floor_post(n) for n in range(1, self._chats)])
        pages = self._job(self.floor_port, [request("GET", path) for path in self._pages])
        insert, page = self._http(self.floor, posts, 201), self._http(self.floor, pages, 200)
        said = self._send(self.floor_port, self.floor, "/write", [_said(n) for n in range(1, self._chats)])
        return {POST: insert, POST_HOT: insert, JOIN: insert, HISTORY: page, SEARCH: page, PARTIES: page} | {
            SEND: said
        }

    def ours(self) -> dict[Operation, Measure]:
        """What Parlor does."""
        api = self.api
        posts = {
            number: api.post(f"/chats/{chat(number)}/messages", {"text": TEXT})
            for number in range(self._chats)
        }
        searches = [f"/chats/{chat(0)}/search?q={common_word(n)}" for n in range(10)]
        names = ["velvet%20dragons", "lucky%20owls", "brave%20unicrons", "silver%20singers"]
        http = {
            POST: ([*posts.values()][1:], 201),
            POST_HOT: ([posts[0]], 201),
            HISTORY: ([api.get(path) for path in self._pages], 200),
            SEARCH: ([api.get(path) for path in searches], 200),
            PARTIES: ([api.get(f"/parties?q={name}") for name in names], 200),
        }
        found = {
            of: self._http(api.child, self._job(api.port, asked), status)
            for of, (asked, status) in http.items()
        }
        sends = [_said(number) for number in range(1, self._chats)]
        return found | {
            SEND: self._send(api.port, api.child, "/api/v1/realtime", sends, *authorized(api)),
            JOIN: self._join,
        }

    @property
    def _chats(self) -> int:
        return self.rows // 200

    @property
    def _pages(self) -> list[str]:
        half = self.rows // 2
        return [f"/chats/{chat(0)}/messages?before={51 + n * (half - 51) // 100}" for n in range(100)]

    def _job(self, port: int, requests: list[str]) -> Job:
        plan = self.plan
        return Job(port, requests, plan.connections, seconds=plan.http_s, warm_s=plan.warm_s)

    def _http(self, child: Child, job: Job, expect: int) -> Measure:
        async def measure() -> Measured:
            used_s = child.cpu_s()
            answer = await self.http.run(job, expect=(expect,))
            used_s = child.cpu_s() - used_s
            return told(answer, cpu_us=1e6 * used_s / sum(answer.statuses.values()))

        return measure

    def _send(self, port: int, child: Child, path: str, frames: list[str], *headers: str) -> Measure:
        plan = self.plan
        job = socket_load.Job(port, child.process.pid, path, frames, plan.http_s, plan.warm_s)
        job = replace(job, headers=[*headers], speakers=plan.connections)

        async def measure() -> Measured:
            answer = await self.sockets.run(job)
            return Measured(
                answer.rate, {"p50 ms": answer.p50_ms, "p99 ms": answer.p99_ms, CPU: answer.cpu_us}
            )

        return measure

    async def _join(self) -> Measured:
        """Join parties that were not joined before."""
        places = [f"/parties/{party(self.rows - 1 - next(self.joined))}/join" for _ in range(self.plan.joins)]
        job = self._job(
            self.api.port, [request("POST", f"/api/v1{place}", token=self.api.token) for place in places]
        )
        return await self._http(self.api.child, replace(job, seconds=0, warm_s=0, count=len(places)), 200)()


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Take turns between each operation and its floor."""
    rows = {operation: Row(operation) for operation in OPERATIONS}
    async with a_bench(stage, plan) as bench:
        floors, ours = bench.floors(), bench.ours()
        for number in range(plan.rounds):
            for operation in OPERATIONS[:: 1 if number % 2 == 0 else -1]:
                with rows[operation].failing():
                    rows[operation].add(await floors[operation](), await ours[operation]())
    return list(rows.values())


@asynccontextmanager
async def a_bench(stage: Stage, plan: Plan) -> AsyncIterator[Bench]:
    """Start all of it, and write what is read."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(an_api(stage.set_to(**GENEROUS)))
        connection = await asyncpg.connect(stage.database)
        await connection.execute(floor_chat.TABLE)
        await fill_chats(connection, plan.written, api.user_id)
        await fill_parties(connection, plan.written, OTHER)
        await connection.execute("vacuum analyze")
        await connection.close()
        port, floor = await stack.enter_async_context(a_floor(stage))
        http = await stack.enter_async_context(a_loader(stage))
        sockets = await stack.enter_async_context(a_socket_loader(stage))
        yield Bench(plan, api, port, floor, http, sockets, plan.written, count())


@asynccontextmanager
async def a_floor(stage: Stage) -> AsyncIterator[tuple[int, Child]]:
    """Start what is written by hand."""
    port = free_port()
    async with stage.child(*PYTHON, "benchmarks.floor_chat", str(port)) as child:
        await child.listens(port)
        yield port, child


def authorized(api: Api) -> list[str]:
    """Show who opens a WebSocket."""
    return [f"Authorization: Bearer {api.token}"]


def _floor_post(number: int) -> str:
    return request("POST", f"/chats/{chat(number)}/messages", body={"text": TEXT})


def _said(number: int) -> str:
    text = f"{socket_load.PLACE} {TEXT}"
    return f'{{"type":"send","chat_id":"{chat(number)}","text":"{text}"}}'
