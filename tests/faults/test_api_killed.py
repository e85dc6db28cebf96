"""`kill -9` of the API between commit and answer: whoever repeats gets the same tasks, and each runs once."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import httpx

from tests.faults.gate import Trap, Way, a_gate
from tests.faults.score import Score, rounds
from tests.faults.services import CARD
from tests.fleet import Fleet, signed_in

AT_ONCE = 20
COMMITTED = b"COMMIT\0"  # PostgreSQL's answer to it


async def test_who_got_no_answer_repeats_and_gets_the_same_task(
    fleet: Fleet, scored: Callable[[Fleet, str], Score]
) -> None:
    await fleet.worker()
    score = scored(fleet, "`kill -9` of the API between commit and answer")
    async with a_gate(fleet.database_url) as gate:
        fleet.settings["DATABASE_URL"] = gate.url
        api = await fleet.serve()
        async with signed_in(api.base) as me:
            for _ in range(rounds(10)):
                trap = gate.set(Trap(Way.TO_CLIENT, COMMITTED, silent=True))
                keys = [uuid4().hex for _ in range(AT_ONCE)]
                asking = [asyncio.create_task(ask(me, key)) for key in keys]
                await trap.sprung.wait()
                api.kill()
                score.struck()
                first = dict(zip(keys, await asyncio.gather(*asking), strict=True))
                committed = await stored(fleet) - set(score.sent)
                api = await fleet.serve()
                score.replaced()
                me.base_url = httpx.URL(f"{api.base}/api/v1/")
                score.sent += await repeated(me, first, committed)
        assert (await score.settle()).clean


async def ask(me: httpx.AsyncClient, key: str) -> httpx.Response | None:
    """Order a task; no answer where nobody is left to give one."""
    try:
        return await me.post("/tasks", json=CARD, headers={"Idempotency-Key": key})
    except httpx.TransportError:
        return None


async def repeated(
    me: httpx.AsyncClient, first: Mapping[str, httpx.Response | None], committed: set[str]
) -> list[str]:
    """Ask everything again, and hold what is answered against what was answered or stored the first time."""
    answers = {key: await ask(me, key) for key in first}
    ids = {key: the_task(answer) for key, answer in answers.items()}
    assert [ids[key] for key, answer in first.items() if answer is not None] == [
        the_task(answer) for answer in first.values() if answer is not None
    ]
    replayed = {
        ids[key] for key, answer in answers.items() if answer and "Idempotent-Replayed" in answer.headers
    }
    unanswered = committed - {the_task(answer) for answer in first.values() if answer is not None}
    assert replayed == committed
    assert unanswered, "the cut came after the answer"
    return list(ids.values())


def the_task(answer: Any) -> str:
    assert answer is not None
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def stored(fleet: Fleet) -> set[str]:
    async with fleet.database() as database:
        return {str(row["id"]) for row in await database.fetch("select id from tasks")}
