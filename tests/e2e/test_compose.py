"""docker-compose.yml without Docker: each service's command and environment, as processes."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import redis.asyncio

from tests.architecture.compose import dockerfile, entrypoint, health_check, image_environment, services
from tests.architecture.source import ROOT
from tests.fleet import free_port, signed_in
from tests.servers.pgbouncer import settings_for
from tests.waiting import eventually

BIN = Path(sys.executable).parent
SECRET = "given-by-the-operator-" + "0" * 32


@dataclass
class Containers:
    """What the image holds in a folder, and the services that run from it."""

    app: Path
    data: Path
    urls: Mapping[str, str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def environment(self, service: str, **changes: str) -> dict[str, str]:
        """Give a container's environment; what lies outside of it is replaced by what is here."""
        told = image_environment() | services()[service]["environment"]
        assert set(self.urls) - {"PARLOR_PGBOUNCER", "PARLOR_MIGRATE_URL"} <= set(told)
        told |= {"PARLOR_DATA_DIR": str(self.data), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        return {**told, **self.urls, **changes}

    def start(self, service: str, **changes: str) -> subprocess.Popen[bytes]:
        """Start a service's command through the image's entrypoint."""
        words = [*entrypoint(), *services()[service]["command"]]
        with (self.data / f"{service}.log").open("ab") as log:
            child = subprocess.Popen(
                [word.replace("/app/", f"{self.app}/") for word in words],
                env=self.environment(service, **changes),
                cwd=self.app,
                stdout=log,
                stderr=log,
            )
        self.running.append(child)
        return child

    async def healthy(self, service: str, **changes: str) -> None:
        """Wait as Compose does: until the image's health check succeeds."""
        environment = self.environment(service, **changes)

        async def succeeds() -> bool:
            check = await asyncio.create_subprocess_exec(
                *health_check(), env=environment, cwd=self.app, stderr=subprocess.DEVNULL
            )
            assert self.running[-1].poll() is None, (self.data / f"{service}.log").read_text()[-4000:]
            return await check.wait() == 0

        await eventually(succeeds, within=60)


@pytest.fixture
async def containers(
    tmp_path: Path, empty_database_url: str, redis_url: str, rabbitmq_url: str
) -> AsyncIterator[Containers]:
    """Copy what the Dockerfile copies; the servers are there, the database is empty."""
    app, data = tmp_path / "app", tmp_path / "data"
    data.mkdir()
    for line in dockerfile("COPY"):
        *names, place = line.split()
        for name in names if "--from" not in line else ():
            target = app / place / Path(name).name if place.endswith("/") else app / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, target)
    urls = {**settings_for(empty_database_url), "REDIS_URL": redis_url, "RABBITMQ_URL": rabbitmq_url}
    started = Containers(app, data, urls)
    yield started
    for child in started.running:
        child.kill()
        child.wait()


@pytest.fixture
def namespace(tmp_path: Path) -> str:
    """Make a name for queues that are this test's own."""
    return f"compose-{re.sub(r'[^a-z0-9]', '', tmp_path.name.lower())}-{os.getpid()}"


async def test_the_stack_comes_up_runs_a_task_and_ends_when_told(
    containers: Containers, namespace: str
) -> None:
    """Both start on an empty database, and `alembic upgrade head` works beside them."""
    port, page = str(free_port()), str(free_port())
    api = containers.start("micro_service", PORT=port, PARLOR_NAMESPACE=namespace)
    await containers.healthy("micro_service", PORT=port)
    worker = containers.start("consume_worker", PARLOR_WORKER_PORT=page, PARLOR_NAMESPACE=namespace)
    await containers.healthy("consume_worker", PARLOR_WORKER_PORT=page)
    migrated = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        "alembic upgrade head",
        env=containers.environment("micro_service"),
        cwd=containers.app,
        stderr=subprocess.PIPE,
    )
    assert (await migrated.communicate(), migrated.returncode)[1] == 0
    base = f"http://127.0.0.1:{port}"
    async with signed_in(base) as me:
        assert (await me.get(f"{base}/docs")).status_code == 200
        task = (await me.post("/tasks", json={"kind": "truth_or_dare", "payload": {}})).json()
        ended = (await me.get(f"/tasks/{task['id']}", params={"wait": 30})).json()
    assert ended["status"] == "succeeded"
    for child in (worker, api):
        child.terminate()
        assert await asyncio.to_thread(child.wait, 45) in {0, -signal.SIGTERM}


def run(containers: Containers, *command: str, **changes: str) -> str:
    """Run a command through the entrypoint, and answer what it prints."""
    return subprocess.run(
        [containers.app / "scripts/entrypoint.sh", *command],
        env=containers.environment("micro_service", **changes),
        text=True,
        capture_output=True,
        check=True,
    ).stdout


def test_a_secret_is_drawn_once_and_shared(containers: Containers) -> None:
    first, again = (run(containers, "printenv", "SECURITY_SECRET_KEY").strip() for _ in range(2))
    assert first == again
    assert len(first) == 64
    assert [path.name for path in containers.data.iterdir()] == ["secret"]
    assert (containers.data / "secret").stat().st_mode & 0o077 == 0


def test_a_given_secret_is_left_alone(containers: Containers) -> None:
    told = run(containers, "printenv", "SECURITY_SECRET_KEY", SECURITY_SECRET_KEY=SECRET)
    assert told.strip() == SECRET
    assert list(containers.data.iterdir()) == []


def test_production_draws_none_and_refuses_to_start(containers: Containers) -> None:
    """What is not given is not made up where others depend on it."""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run(containers, "parlor", "serve", PARLOR_ENV="production")
    assert "SECURITY_SECRET_KEY" in refused.value.stderr
    assert list(containers.data.iterdir()) == []


async def test_a_developer_s_port_leads_to_the_server(containers: Containers, redis_url: str) -> None:
    server, port = httpx.URL(redis_url), free_port()
    forwarding = subprocess.Popen(
        [sys.executable, containers.app / "scripts/forward.py", f"{port}={server.host}:{server.port}"]
    )
    containers.running.append(forwarding)

    async def answers() -> bool:
        async with redis.asyncio.Redis(port=port, password=server.password or None) as client:
            try:
                return bool(await client.ping())
            except redis.ConnectionError:
                return False

    await eventually(answers)
