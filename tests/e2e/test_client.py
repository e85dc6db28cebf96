"""The client against Parlor itself, and the programs of its page, each run as it stands there."""

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from parlor.client import Backoff, Parlor, Problem, SignedOut, Tokens
from parlor.entrypoints.consume_worker.main import running
from tests.architecture.documents import blocks
from tests.architecture.source import ROOT
from tests.faults.gate import Trap, Way, a_gate
from tests.serving import Api, an_api
from tests.waiting import all_of, soon

PAGE = ROOT / "docs/client.md"
ADA = {"email": "ada@example.org", "password": "correct horse 42"}
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # httpx reads every authority there is, for each client
CARD: tuple[str, dict[str, Any]] = ("truth_or_dare", {"mode": "dare"})


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    """Serve, with a worker in the same process."""
    async with (
        an_api(database_url) as api,
        running(api.container, consume=True, relay=True, timers=True),
    ):
        yield api


def a_parlor(base: str, **options: Any) -> Parlor:
    return Parlor(base, **{"backoff": Backoff(first_s=0.01), "tls": NO_TLS, **options})


async def ada_at(parlor: Parlor) -> Tokens:
    await parlor.request("POST", "/auth/register", json=ADA, signed=False)
    return await parlor.log_in(**ADA)


async def test_a_session_lives_on(api: Api) -> None:
    """Refused tokens, lost answers, many callers: one session all the while."""
    kept: list[Tokens | None] = []
    async with a_gate(api.base) as gate, a_parlor(gate.url, on_tokens=kept.append) as parlor:
        first = await ada_at(parlor)
        parlor.session.tokens = replace(first, access_token="refused")
        users = await asyncio.gather(*(parlor.get("/users/me") for _ in range(20)))
        assert {user["email"] for user in users} == {ADA["email"]}
        assert len(kept) == 2
        trap = gate.set(Trap(Way.TO_CLIENT, b'"refresh_token"'))
        parlor.session.tokens = replace(kept[1] or first, refresh_at=0)
        assert (await parlor.get("/users/me"))["email"] == ADA["email"]
        assert trap.sprung.is_set()
        assert len({one.refresh_token for one in kept if one}) == 3


async def test_kept_tokens_go_on_and_an_ended_session_is_told(api: Api) -> None:
    async with a_parlor(api.base) as parlor:
        tokens = await ada_at(parlor)
    async with a_parlor(api.base, tokens=tokens) as parlor, a_parlor(api.base, tokens=tokens) as other:
        assert (await parlor.get("/users/me"))["email"] == ADA["email"]
        await parlor.log_out()
        with pytest.raises(SignedOut):
            await other.get("/users/me")
        with pytest.raises(Problem, match="invalid_credentials"):
            await parlor.log_in(ADA["email"], "something else")


async def test_tasks_are_ordered_watched_and_listed(api: Api) -> None:
    async with a_gate(api.base) as gate, a_parlor(gate.url) as parlor:
        await ada_at(parlor)
        trap = gate.set(Trap(Way.TO_CLIENT, b"202 Accepted"))
        ordered = await parlor.tasks.order(*CARD)
        assert trap.sprung.is_set()
        versions = [task["version"] for task in await all_of(parlor.tasks.watch(ordered["id"]))]
        assert versions == sorted(set(versions))
        assert await all_of(parlor.tasks.watch(ordered["id"], seen=versions[-1])) == []
        assert (await parlor.tasks.wait(ordered["id"]))["status"] == "succeeded"
        await parlor.post("/tasks/batch", json={"tasks": [{"kind": CARD[0], "payload": CARD[1]}] * 4})
        assert [len(page) for page in await all_of(parlor.pages("/tasks", limit=2))] == [2, 2, 1]
        with pytest.raises(Problem) as raised:
            await parlor.tasks.order("truth_or_dare", {"mode": "lie"})
        assert raised.value.errors[0]["pointer"] == "/payload/mode"
        assert raised.value.request_id


async def test_a_watch_that_is_cut_goes_on(api: Api) -> None:
    async with a_gate(api.base) as gate, a_parlor(gate.url) as parlor:
        tokens = await ada_at(parlor)
        later = datetime.now(UTC) + timedelta(hours=1)
        task = await parlor.tasks.order(*CARD, run_at=later.isoformat())
        watch = parlor.tasks.watch(task["id"])
        assert (await soon(anext(watch)))["status"] == "scheduled"
        gate.cut()
        end = asyncio.create_task(anext(watch))
        async with a_parlor(api.base, tokens=tokens) as other:
            await other.post(f"/tasks/{task['id']}/cancel")
        assert (await soon(end))["status"] == "cancelled"


async def run(program: Path, **told: str) -> str:
    """Run a program of the page to its end; answers what it prints."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        program,
        env=os.environ | told,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    return output.decode()


def programs(section: str, folder: Path) -> list[Path]:
    """Write a section's programs into files."""
    paths = []
    for number, block in enumerate(blocks(PAGE, "python", section=section)):
        paths.append(folder / f"{section.split(maxsplit=1)[0].lower()}_{number}.py")
        paths[-1].write_text(block.text)
    return paths


async def test_the_page_s_programs_run(api: Api, tmp_path: Path) -> None:
    draw, count = programs("Calls and tasks", tmp_path)
    (stay,) = programs("Staying logged in", tmp_path)
    (show,) = programs("Chats as they happen", tmp_path)
    told = {"API_URL": api.base, "KEPT": str(tmp_path / "session.json")}
    assert (await run(draw, **told)).startswith("succeeded ")
    counted, first = await asyncio.gather(run(count, **told), run(stay, **told))
    assert counted.splitlines() == ["{'succeeded': 1}", "422 invalid_payload /payload/mode"]
    assert [first, await run(stay, **told)] == ["client@example.org anew\n", "client@example.org again\n"]
    assert (tmp_path / "session.json").stat().st_mode & 0o777 == 0o600
    async with a_parlor(api.base) as parlor:
        await parlor.log_in("client@example.org", ADA["password"])
        chat = await parlor.post("/chats", json={"kind": "group", "title": "Fans", "member_ids": []})
        await parlor.post(f"/chats/{chat['id']}/messages", json={"text": "Hi."})
    assert await run(show, **told, CHAT_ID=chat["id"]) == "1 Hi.\n2 Hello, everybody.\n"
