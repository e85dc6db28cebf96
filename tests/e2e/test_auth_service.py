"""API keys and tokens for other services, on two processes; and docs/use-as-auth-service.md, whose service is run."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.architecture.source import ROOT
from tests.e2e.listings import listings
from tests.fleet import Fleet, Process, a_fleet, as_admin, free_port, signed_in
from tests.servers.session import shared_url
from tests.sse import events
from tests.unit.security.test_signing import pem
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = ROOT / "docs/use-as-auth-service.md"
BOOT = f"parlor_boot_{secrets.token_urlsafe(32)}"
CARD = {"kind": "truth_or_dare", "payload": {}}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two API processes."""

    fleet: Fleet
    one: Process
    other: Process

    async def api(self, process: Process, method: str, path: str, key: str, **sent: Any) -> httpx.Response:
        """Ask one of them with a key."""
        async with httpx.AsyncClient(trust_env=False, timeout=40) as client:
            headers = {"X-API-Key": key}
            return await client.request(method, f"{process.base}/api/v1{path}", headers=headers, **sent)

    async def status(self, process: Process, key: str) -> int:
        return (await self.api(process, "GET", "/task-kinds", key)).status_code

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, which must succeed."""
        done = await asyncio.to_thread(self.fleet.run, *arguments)
        assert done.returncode == 0, done.stderr
        return done


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory, template: str) -> AsyncIterator[Pair]:
    """Start both, with a key that signs and a key that is there from the start."""
    servers = (shared_url("postgres"), shared_url("redis"), shared_url("rabbitmq"))
    settings = {
        "SECURITY_PRIVATE_KEYS": pem("EdDSA") + pem("ES256"),
        "PARLOR_BOOTSTRAP_API_KEY": f"{BOOT}=tokens:introspect,tasks:create,films:report",
    }
    folder = tmp_path_factory.mktemp("fleet")
    async with a_fleet(*servers, folder, template=template, **settings) as fleet:
        one, other = await asyncio.gather(fleet.serve(), fleet.serve())
        yield Pair(fleet, one, other)


async def made(me: httpx.AsyncClient, *scopes: str) -> tuple[str, str]:
    answer = await me.post("/api-keys", json={"name": "films", "scopes": scopes})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], answer.json()["key"]


async def test_the_bootstrap_key_is_there_once_when_both_serve(pair: Pair) -> None:
    for process in (pair.one, pair.other):
        assert (await pair.api(process, "POST", "/tasks", BOOT, json=CARD)).status_code == 202
    async with pair.fleet.database() as database:
        assert await database.fetchval("select count(*) from api_keys where name = 'bootstrap'") == 1


async def test_what_one_process_revokes_the_other_refuses(pair: Pair) -> None:
    async with signed_in(pair.one.base) as me:
        key_id, key = await made(me, "tasks:create")
        assert [await pair.status(process, key) for process in (pair.one, pair.other)] == [200, 200]
        assert (await me.delete(f"/api-keys/{key_id}")).status_code == 204
    assert await pair.status(pair.one, key) == 401
    await eventually(lambda: _refused(pair, pair.other, key))


async def _refused(pair: Pair, process: Process, key: str) -> bool:
    return await pair.status(process, key) == 401


async def test_a_key_of_the_command_line_counts_and_ends_everywhere(pair: Pair) -> None:
    made = await pair.run("api-keys", "create", "--name", "films", "--scope", "films:watch")
    key, key_id = made.stdout.split()[0], made.stderr.rpartition("id ")[2].partition(";")[0]
    assert [await pair.status(process, key) for process in (pair.one, pair.other)] == [200, 200]
    await pair.run("api-keys", "revoke", key_id)
    await eventually(lambda: _refused(pair, pair.one, key))
    await eventually(lambda: _refused(pair, pair.other, key))


async def test_a_keys_last_use_is_shown_some_time_after(pair: Pair) -> None:
    async with signed_in(pair.one.base) as me:
        _, key = await made(me, "tasks:create")
        assert await pair.status(pair.other, key) == 200

        async def shown() -> bool:
            (listed,) = (await me.get("/api-keys")).json()["items"]
            return bool(listed["last_used_at"])

        await eventually(shown)


async def test_the_stream_of_a_revoked_key_ends(pair: Pair) -> None:
    async with signed_in(pair.one.base) as me:
        key_id, key = await made(me, "tasks:create")
        task = (await pair.api(pair.one, "POST", "/tasks", key, json=CARD)).json()
        assert task["requested_by"] == {"kind": "api_key", "id": key_id}
        assert (await me.get(f"/tasks/{task['id']}")).status_code == 200, "it is its maker's task too"
        address = f"{pair.other.base}/api/v1/tasks/{task['id']}/events"
        async with (
            httpx.AsyncClient(trust_env=False, timeout=40) as client,
            client.stream("GET", address, headers={"X-API-Key": key}) as answer,
        ):
            told = events(answer)
            assert (await anext(told)).task["status"] == "queued"
            assert (await me.delete(f"/api-keys/{key_id}")).status_code == 204
            async with asyncio.timeout(10):  # a look without a hint comes after 15 s
                assert [event async for event in told] == []


async def test_a_key_of_a_disabled_maker_counts_nowhere(pair: Pair) -> None:
    async with signed_in(pair.one.base) as me, pair.fleet.database() as database:
        _, key = await made(me, "tasks:create")
        user_id = (await me.get("/users/me")).json()["id"]
        await database.execute("update users set status = 'disabled' where id = $1", user_id)
        assert (await me.post("/auth/logout")).status_code in {204, 401}
    await eventually(lambda: _refused(pair, pair.one, key))
    await eventually(lambda: _refused(pair, pair.other, key))


# The page


@asynccontextmanager
async def film_service(pair: Pair, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Run the page's service as the page says."""
    (listing,) = listings(PAGE)
    listing.put(folder)
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "films:app", "--port", str(port), "--log-level", "warning"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "AUTH_URL": pair.one.base, "AUTH_KEY": BOOT},
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            await eventually(lambda: _answers(client, child))
            yield client
    finally:
        child.kill()
        child.wait()


async def _answers(client: httpx.AsyncClient, child: subprocess.Popen[bytes]) -> bool:
    assert child.poll() is None
    try:
        return (await client.get("/openapi.json")).status_code == 200
    except httpx.TransportError:
        return False


async def test_the_pages_service_knows_people_and_services(pair: Pair, tmp_path: Path) -> None:
    async with film_service(pair, tmp_path) as films, signed_in(pair.other.base) as me:
        bearer = {"Authorization": me.headers["Authorization"]}
        user_id = (await me.get("/users/me")).json()["id"]
        watch = "/films/Metropolis/watch"

        assert (await films.get("/films")).status_code in {401, 403}
        assert (await films.get("/films", headers={"Authorization": "Bearer x.y.z"})).status_code == 401
        assert (await films.get("/films", headers=bearer)).json()["viewer"] == user_id
        assert (await films.post(watch, headers=bearer)).status_code == 403

        async with as_admin(pair.fleet, pair.one.base) as admin:
            viewer = {"name": "viewer", "description": "Watches films.", "permissions": ["films:watch"]}
            assert (await admin.post("/roles", json=viewer)).status_code == 201
            assert (await admin.put(f"/users/{user_id}/roles/viewer")).status_code == 204
            await eventually(lambda: _is(films.post(watch, headers=bearer), 200))
            as_them = {"Authorization": admin.headers["Authorization"]}
            assert (await films.delete("/films/Metropolis", headers=as_them)).status_code == 204
        assert (await films.delete("/films/Metropolis", headers=bearer)).status_code == 403

        assert (await films.get("/report", headers={"X-API-Key": BOOT})).status_code == 200
        _, weak = await made(me, "tasks:create")
        assert (await films.get("/report", headers={"X-API-Key": weak})).status_code == 403
        assert (await films.get("/report", headers={"X-API-Key": BOOT + "x"})).status_code == 401
        assert (await films.post(watch, headers={"Authorization": f"Bearer {BOOT}"})).status_code == 401

        assert (await me.post("/auth/logout")).status_code == 204
        await eventually(lambda: _is(films.post(watch, headers=bearer), 401))
        assert (await films.get("/films", headers=bearer)).status_code == 200, (
            "a signature outlives its session"
        )


async def _is(asking: Any, status: int) -> bool:
    return bool((await asking).status_code == status)


async def test_no_log_holds_a_key_or_a_token(pair: Pair) -> None:
    async with signed_in(pair.one.base) as me:
        token = me.headers["Authorization"].removeprefix("Bearer ")
        _, key = await made(me, "tasks:create")
        async with httpx.AsyncClient(trust_env=False) as client:
            refused = [
                await client.get(f"{pair.one.base}/api/v1/task-kinds", params={"api_key": key}),
                await client.get(f"{pair.one.base}/api/v1/{key}"),
                await client.get(f"{pair.one.base}/api/v1/task-kinds", headers={"X-API-Key": f"{key}x"}),
            ]
        assert [answer.status_code for answer in refused] == [401, 404, 401]
        sent = {"token": token}
        assert (await pair.api(pair.one, "POST", "/auth/introspect", BOOT, data=sent)).json()["active"]
    await eventually(lambda: "/auth/introspect" in pair.one.log.read_text())
    for process in (pair.one, pair.other):
        log = process.log.read_text()
        for secret in (key, BOOT, token, key.split("_", 2)[2]):
            assert secret not in log
