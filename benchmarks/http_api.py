"""The HTTP API beside a bare FastAPI route."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

import asyncpg
import httpx

from benchmarks.load import Answer, Job
from benchmarks.loading import Loader, a_loader, request
from benchmarks.noop import make_container
from benchmarks.plan import Plan
from benchmarks.stage import PARLOR, PYTHON, Child, Stage, free_port
from benchmarks.table import Measured, Operation, Row
from parlor.core.games.handlers import TruthOrDareHandler
from parlor.core.shared.actor import ActorKind
from parlor.core.shared.ids import TaskId, UserId, uuid7
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.model import Requester, Task
from parlor.core.tasks.ports import TaskWork

BARE = "bare FastAPI route"
ME = Operation("GET /users/me", BARE, "requests/s", 0.75)
ONE = Operation("GET one task", BARE, "requests/s", 0.40)
ADD = Operation("POST a task with its outbox row", BARE, "requests/s", 0.25)
PAGE = Operation("GET a page of 50 tasks", BARE, "requests/s", 0.40)
OPERATIONS = (ME, ONE, ADD, PAGE)
PASSWORD = "Three-Blind-Mice-Ran"
CARD: dict[str, object] = {"mode": "any", "language": "en", "rating": "family"}
_ENDED = """
update tasks set status = 'succeeded', attempts = 1, fence = 1, version = 3, queued_at = null,
       started_at = clock_timestamp(), finished_at = clock_timestamp(),
       result = '{"mode": "dare", "text": "Sing the first song that comes to mind.", "language": "en",
                  "rating": "family", "source": "deck", "prompt_id": "en-f-d-012"}'
 where user_id = $1"""


@dataclass(frozen=True, slots=True)
class Api:
    """A server of ours, somebody who is logged in to it, and the address of another who may do so.

    Somebody's oldest session ends with their 51st login: who logs in all the time must be another.
    """

    port: int
    child: Child
    user_id: UserId
    token: str
    refresh_token: str
    visitor: str

    def get(self, path: str) -> str:
        return request("GET", f"/api/v1{path}", token=self.token)

    def post(self, path: str, body: dict[str, object]) -> str:
        return request("POST", f"/api/v1{path}", token=self.token, body=body)


@asynccontextmanager
async def an_api(stage: Stage) -> AsyncIterator[Api]:
    """Start `parlor serve` with default settings, and make an account."""
    port = free_port()
    async with stage.child(PARLOR, "serve", "--port", str(port)) as child:
        await child.listens(port)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30) as client:
            user_id, account = await _register(client)
            pair = (await client.post("/auth/login", json=account)).raise_for_status().json()
            _, other = await _register(client)
        yield Api(port, child, user_id, pair["access_token"], pair["refresh_token"], other["email"])


async def _register(client: httpx.AsyncClient) -> tuple[UserId, dict[str, str]]:
    account = {"email": f"{uuid7()}@example.org", "password": PASSWORD}
    made = (await client.post("/auth/register", json=account)).raise_for_status().json()
    return UserId(UUID(made["id"])), account


@asynccontextmanager
async def a_floor(stage: Stage) -> AsyncIterator[tuple[int, Child]]:
    """Start the bare route."""
    port = free_port()
    async with stage.child(*PYTHON, "benchmarks.floor_http", str(port)) as child:
        await child.listens(port)
        yield port, child


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Take turns between the bare route and each operation."""
    rows = {operation: Row(operation) for operation in OPERATIONS}
    async with a_floor(stage) as (floor_port, floor), an_api(stage) as api, a_loader(stage) as loader:
        jobs = await _jobs(stage, api, plan)
        bare = replace(jobs[ME], port=floor_port, requests=[request("GET", "/")])
        for number in range(plan.rounds):
            for operation in OPERATIONS[:: 1 if number % 2 == 0 else -1]:
                expect = 202 if operation is ADD else 200
                with rows[operation].failing():
                    beside = await _run(loader, floor, bare, 200)
                    ours = await _run(loader, api.child, jobs[operation], expect)
                    rows[operation].add(beside, ours)
    return list(rows.values())


async def _jobs(stage: Stage, api: Api, plan: Plan) -> dict[Operation, Job]:
    seeded = await seed(stage, api.user_id, plan.seeded)
    whole = Job(
        port=api.port, requests=[], connections=plan.connections, seconds=plan.http_s, warm_s=plan.warm_s
    )
    order: dict[str, object] = {"kind": TruthOrDareHandler.kind, "payload": CARD}
    return {
        ME: replace(whole, requests=[api.get("/users/me")]),
        ONE: replace(whole, requests=[api.get(f"/tasks/{task_id}") for task_id in seeded]),
        ADD: replace(whole, requests=[api.post("/tasks", order)]),
        PAGE: replace(whole, requests=[api.get("/tasks?limit=50")]),
    }


async def _run(loader: Loader, child: Child, job: Job, expect: int) -> Measured:
    used_s = child.cpu_s()
    answer = await loader.run(job, expect=(expect,))
    used_s = child.cpu_s() - used_s
    return told(answer, cpu_us=1e6 * used_s / sum(answer.statuses.values()))


def told(answer: Answer, **details: float) -> Measured:
    """Make the requests a second the figure."""
    known = {"p50 ms": answer.p50_ms, "p99 ms": answer.p99_ms}
    return Measured(answer.rate, known | {name.replace("_", " "): value for name, value in details.items()})


async def seed(stage: Stage, user_id: UserId, count: int) -> list[TaskId]:
    """Give somebody tasks that have ended."""
    container = make_container(stage.settings)
    await container.start()
    requester = Requester(ActorKind.USER, id=user_id, user_id=user_id)
    ids = [TaskId(uuid7()) for _ in range(count)]
    async with container.get(UnitOfWork[TaskWork])() as work:
        for task_id in ids:
            await work.tasks.add(Task(task_id, TruthOrDareHandler.kind, CARD, requester))
    await container.close()
    connection = await asyncpg.connect(stage.database)
    await connection.execute(_ENDED, user_id)
    await connection.execute("truncate task_outbox")
    await connection.execute("vacuum analyze")
    await connection.close()
    return ids
