"""A message on its way to everybody who listens, beside a bare Starlette broadcast."""

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import httpx

from benchmarks.chats import GENEROUS, TEXT, a_floor, authorized
from benchmarks.http_api import Api, an_api
from benchmarks.loading import a_socket_loader
from benchmarks.plan import Plan
from benchmarks.socket_load import PLACE, Answer, Job
from benchmarks.stage import Child, Stage
from benchmarks.table import CPU, Measured, Operation, Row

BROADCAST = "bare Starlette broadcast"
REALTIME = "/api/v1/realtime"
PERCENTILES = (50, 99)
ASK = 3.0
FRAME = 480
"""How long a message is by the time that it is delivered."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many sockets, and so many messages a second to all of them."""

    sockets: int
    rate: float

    def rows(self) -> dict[int, Row]:
        """Make a row for each percentile."""
        name = f"delivery to {self.sockets} sockets, {self.rate:g} messages/s: p{{0}}"
        return {
            p: Row(Operation(name.format(p), BROADCAST, f"p{p} ms", ASK, at_most=True)) for p in PERCENTILES
        }

    def of(self, job: Job) -> Job:
        """Put it into a job."""
        return replace(job, listeners=self.sockets, rate=self.rate)


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Take turns between both servers, with each crowd; all frames are heard by one process."""
    crowds = [Crowd(sockets, rate) for sockets, rate in plan.crowds]
    rows = {crowd: crowd.rows() for crowd in crowds}
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(an_api(stage.set_to(**GENEROUS)))
        port, floor = await stack.enter_async_context(a_floor(stage))
        client = await stack.enter_async_context(a_socket_loader(stage))
        bare, ours = _bare(plan, port, floor), _ours(plan, api, await _a_chat(api))
        for number in range(plan.rounds):
            for crowd in crowds[:: 1 if number % 2 == 0 else -1]:
                with rows[crowd][PERCENTILES[0]].failing():
                    beside, answer = await client.run(crowd.of(bare)), await client.run(crowd.of(ours))
                    for percent, row in rows[crowd].items():
                        row.add(_measured(beside, percent), _measured(answer, percent))
    return [row for by_percentile in rows.values() for row in by_percentile.values()]


def _bare(plan: Plan, port: int, floor: Child) -> Job:
    return Job(
        port,
        floor.process.pid,
        says="/say",
        hears="/listen",
        frames=[f"{PLACE} {TEXT}".ljust(FRAME)],
        seconds=plan.heard_s,
        warm_s=plan.warm_s,
    )


def _ours(plan: Plan, api: Api, chat_id: str) -> Job:
    return Job(
        api.port,
        api.child.process.pid,
        says=REALTIME,
        hears=REALTIME,
        headers=authorized(api),
        frames=[json.dumps({"type": "send", "chat_id": chat_id, "text": f"{PLACE} {TEXT}"})],
        greeting=json.dumps({"type": "subscribe", "chat_id": chat_id}),
        greeted='"subscribed"',
        seconds=plan.heard_s,
        warm_s=plan.warm_s,
    )


def _measured(answer: Answer, percent: int) -> Measured:
    figure = answer.p50_ms if percent == PERCENTILES[0] else answer.p99_ms
    return Measured(figure, {CPU: answer.cpu_us, "frames": answer.heard})


async def _a_chat(api: Api) -> str:
    url, headers = f"http://127.0.0.1:{api.port}/api/v1/chats", {"Authorization": f"Bearer {api.token}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        made = await client.post(url, json={"kind": "group", "title": "Crowd", "member_ids": []})
    return str(made.raise_for_status().json()["id"])
