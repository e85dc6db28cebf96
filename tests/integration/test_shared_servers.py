"""Servers that outlive one test: those of a whole run, and those that a developer asks for."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers import VARIABLES, session
from tests.servers.processes import is_listening, port_of, wait_until

SHARING = """
import signal
from tests.servers import session
session.open_session()
print(session.shared_url("redis"), flush=True)
signal.pause()
"""
SUITE = """
import os
import pytest
from tests.servers import session

@pytest.mark.parametrize("number", range(6))
def test_where(number):
    with open("urls", "a") as urls:
        urls.write(os.environ["PYTEST_XDIST_WORKER"] + " " + session.shared_url("redis") + "\\n")
"""
CONFTEST = """
from tests.servers import session

def pytest_configure(config):
    session.open_session()

def pytest_unconfigure(config):
    session.close_session()
"""


def clean_environment() -> dict[str, str]:
    """Ours, without the servers of the run that this test is part of."""
    ours = {session.FOLDER, *VARIABLES.values()}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("PYTEST_")
    }
    return inherited | {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_all_workers_of_a_run_share_one_server_and_its_end(tmp_path: Path) -> None:
    """Each has its own part of it, and after the run it is gone."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_sharing.py").write_text(SUITE)
    run = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "each",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    done = subprocess.run(
        run, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    seen = {line.split()[0]: line.split()[1] for line in (tmp_path / "urls").read_text().splitlines()}
    assert {worker: urlsplit(url).path for worker, url in seen.items()} == {"gw0": "/0", "gw1": "/1"}
    assert port_of(seen["gw0"]) == port_of(seen["gw1"])
    assert not is_listening(seen["gw0"])


def test_a_shared_server_ends_with_a_killed_run(tmp_path: Path) -> None:
    """Kill -9 of pytest leaves nothing behind."""
    env = clean_environment() | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", SHARING], env=env, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        assert is_listening(url)
        run.kill()
    wait_until(lambda: not is_listening(url), what="the end of the server")
    wait_until(lambda: not list(tmp_path.iterdir()), what="the end of its files")


def test_a_url_in_the_environment_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else runs that server, and says how it is divided."""
    session.shared_url.cache_clear()
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://elsewhere/tests")
    assert session.shared_url("postgres") == "postgresql://elsewhere/tests"
    session.shared_url.cache_clear()


def test_developers_get_all_servers_until_they_interrupt() -> None:
    """The lines can be pasted into a shell."""
    env = clean_environment() | {"TEST_RABBITMQ_URL": "amqp://elsewhere"}
    argv = [sys.executable, "-m", "tests.servers"]
    with subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline().strip() for _ in VARIABLES]
        exported = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        assert is_listening(exported["TEST_DATABASE_URL"])
        assert is_listening(exported["TEST_REDIS_URL"])
        assert exported["TEST_RABBITMQ_URL"] == "amqp://elsewhere"
        running.send_signal(signal.SIGINT)
    assert running.returncode == 0
    assert not is_listening(exported["TEST_DATABASE_URL"])
    assert not is_listening(exported["TEST_REDIS_URL"])
