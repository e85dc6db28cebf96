"""Every process replaced, one after the other, under load: no request fails, no task is lost, or run twice."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from parlor.client import Parlor
from tests.balancer import Balancer, a_balancer
from tests.faults.score import Score, rounds
from tests.faults.services import CARD
from tests.fleet import PASSWORD, Fleet, Process
from tests.waiting import eventually, soon

CLIENTS = 6
UNREADY_S = "1"
ADA = {"email": "ada@example.org", "password": PASSWORD}


@dataclass
class Load:
    """Clients that never pause, and never ask twice: what fails is counted as their users would see it."""

    base: str
    headers: dict[str, str]
    chat: str
    tasks: list[str] = field(default_factory=list)
    said: set[int] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    _over: bool = False

    async def run(self) -> None:
        async with httpx.AsyncClient(
            base_url=f"{self.base}/api/v1", headers=self.headers, trust_env=False, timeout=30
        ) as client:
            messages = f"/chats/{self.chat}/messages"
            while not self._over:
                if (task := await self._ask(client, "POST", "/tasks", CARD)) is not None:
                    self.tasks.append(task.json()["id"])
                if (message := await self._ask(client, "POST", messages, {"text": "hi"})) is not None:
                    self.said.add(message.json()["seq"])
                await self._ask(client, "GET", "/users/me", None)

    async def _ask(
        self, client: httpx.AsyncClient, method: str, path: str, body: object
    ) -> httpx.Response | None:
        try:
            answer = await client.request(method, path, json=body)
        except httpx.TransportError as error:
            self.failed.append(f"{method} {path}: {error!r}")
            return None
        if answer.is_success:
            return answer
        self.failed.append(f"{method} {path}: {answer.status_code} {answer.text}")
        return None

    def end(self) -> None:
        self._over = True


async def replace(balancer: Balancer, old: Process, new: Process) -> None:
    """Bring the new one in before the old one is told to leave."""
    balancer.processes = [*balancer.processes, new]
    await eventually(lambda: balancer.sends_to(new))
    assert await old.stop() in {0, -15}  # uvicorn ends by the signal that it was told with
    balancer.processes = [one for one in balancer.processes if one is not old]


async def test_a_rolling_restart_fails_nobody(fleet: Fleet, scored: Callable[[Fleet, str], Score]) -> None:
    fleet.settings["PARLOR_UNREADY_S"] = UNREADY_S
    api, worker = await asyncio.gather(fleet.serve(), fleet.worker())
    score = scored(fleet, "API, relay and worker replaced under load")
    async with a_balancer() as balancer, Parlor(balancer.base) as parlor:
        balancer.processes = [api]
        await eventually(lambda: balancer.sends_to(api))
        await parlor.request("POST", "/auth/register", json=ADA, signed=False)
        tokens = await parlor.log_in(**ADA)
        chat = (await parlor.post("/chats", json={"kind": "group", "title": "Moor", "member_ids": []}))["id"]
        load = Load(balancer.base, {"Authorization": f"Bearer {tokens.access_token}"}, chat)
        heard: set[int] = set()
        async with parlor.realtime() as live, live.chat(chat, since_rev=0) as changes:

            async def listen() -> None:
                async for change in changes:
                    if change["type"] == "message.created":
                        heard.add(change["message"]["seq"])

            listening = asyncio.create_task(listen())
            clients = [asyncio.create_task(load.run()) for _ in range(CLIENTS)]
            for _ in range(rounds(5)):
                score.struck()
                new_api, new_worker = await asyncio.gather(fleet.serve(), fleet.worker())
                await asyncio.gather(replace(balancer, api, new_api), worker.stop())
                api, worker = new_api, new_worker
            load.end()
            await soon(asyncio.gather(*clients))
            await eventually(lambda: heard >= load.said)
            listening.cancel()
    assert load.failed == []
    score.sent = load.tasks
    tally = await score.settle()
    assert tally.clean
    assert tally.again == 0
    assert len(load.tasks) > 0
