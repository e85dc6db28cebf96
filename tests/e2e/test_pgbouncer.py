"""Parlor behind PgBouncer in transaction mode: each transaction on whichever session is free."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.fleet import Fleet, Process, a_fleet, signed_in
from tests.servers.pgbouncer import PgBouncer, settings_over
from tests.servers.session import shared_url
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="fleet")
async def one_fleet(tmp_path_factory: pytest.TempPathFactory, template: str) -> AsyncIterator[Fleet]:
    """Run an API process and a worker over it."""
    postgres = shared_url("postgres")
    folder: Path = tmp_path_factory.mktemp("pgbouncer")
    with PgBouncer(postgres) as pgbouncer:
        servers = (postgres, shared_url("redis"), shared_url("rabbitmq"))
        async with a_fleet(*servers, folder, template=template) as fleet:
            fleet.settings |= settings_over(pgbouncer, fleet.database_url)
            yield fleet


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="api")
async def one_api(fleet: Fleet) -> Process:
    process = await fleet.serve()
    await fleet.worker()
    return process


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="ada")
async def one_ada(api: Process) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(api.base) as client:
        yield client


async def made(client: httpx.AsyncClient, path: str, body: object) -> dict[str, str]:
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    found: dict[str, str] = answer.json()
    return found


async def test_a_task_runs_to_its_end(ada: httpx.AsyncClient) -> None:
    task = await made(ada, "/tasks", {"kind": "truth_or_dare", "payload": {}})
    ended = (await ada.get(f"/tasks/{task['id']}", params={"wait": 30})).json()
    assert ended["status"] == "succeeded"


async def test_parties_are_founded_and_found(ada: httpx.AsyncClient) -> None:
    await made(ada, "/parties", {"name": "The Dragons of the Moor", "visibility": "public"})
    for sought in ("dragons", "dargons", "th"):
        found = (await ada.get("/parties", params={"q": sought})).json()["items"]
        assert [party["name"] for party in found] == ["The Dragons of the Moor"], sought


async def test_chats_are_written_and_searched(ada: httpx.AsyncClient, api: Process) -> None:
    async with signed_in(api.base) as eve:
        chat = await made(ada, "/chats", {"kind": "group", "title": "Moor", "member_ids": []})
        await made(ada, f"/chats/{chat['id']}/messages", {"text": "Who has seen the lantern?"})
        found = (await ada.get(f"/chats/{chat['id']}/search", params={"q": "lantern"})).json()
        assert [message["text"] for message in found["items"]] == ["Who has seen the lantern?"]
        assert (await eve.get(f"/chats/{chat['id']}/messages")).status_code == 404


async def test_a_schedule_is_kept(ada: httpx.AsyncClient) -> None:
    body = {"name": "cards", "cron": "* * * * *", "kind": "truth_or_dare", "payload": {}}
    schedule = await made(ada, "/schedules", body)
    listed = (await ada.get("/schedules")).json()["items"]
    assert [one["id"] for one in listed] == [schedule["id"]]


async def test_its_sessions_are_found_to_have_our_limits(api: Process) -> None:
    async with httpx.AsyncClient(trust_env=False) as anybody:
        parts = (await anybody.get(f"{api.base}/readyz")).json()["parts"]
    assert parts["limits"] == {"status": "up", "needed": False, "detail": None}


async def test_many_at_once_share_few_sessions(ada: httpx.AsyncClient, fleet: Fleet) -> None:
    """Eight sessions serve three pools of ten; nobody gets another's statement."""
    ids = [(await made(ada, "/tasks", {"kind": "truth_or_dare", "payload": {}}))["id"] for _ in range(20)]

    async def all_ended() -> bool:
        answers = [await ada.get(f"/tasks/{one}") for one in ids]
        return all(answer.json()["status"] == "succeeded" for answer in answers)

    await eventually(all_ended)
    async with fleet.database() as database:
        count = "select count(*) from pg_stat_activity where datname = current_database() and application_name like $1"
        assert await database.fetchval(count, "parlor%") <= 8
