"""What the README promises a newcomer: its lines are pasted, its programs run, as they stand there."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.architecture.documents import blocks
from tests.architecture.source import ROOT
from tests.fleet import PARLOR, Fleet, as_admin, free_port, signed_in
from tests.servers.processes import temporary_folder
from tests.waiting import PATIENCE_S, eventually

README = ROOT / "README.md"
REST, RABBITMQ, RUN, BUILD = "Use it over REST", "Use it over RabbitMQ", "Run it", "Build on it"
MARK = "--- the next block ---"
ADA = {"email": "ada@example.org", "password": "correct horse 42"}


@dataclass
class Up:
    """A running `parlor up`, and the lines that it greeted with."""

    port: int
    child: subprocess.Popen[str]
    lines: dict[str, str]

    @property
    def api(self) -> str:
        return f"http://localhost:{self.port}/api/v1"


@dataclass
class Home:
    """Where a newcomer starts `parlor up`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return inherited | {"PARLOR_DATA_DIR": str(self.folder / "data")}

    @contextmanager
    def up(self, port: int | None = None) -> Iterator[Up]:
        """Start it, and wait for its last line; it is ended however the test ends."""
        port = port or free_port()
        with (
            (self.folder / "log").open("a") as log,
            subprocess.Popen(
                [PARLOR, "up"],
                env=self.environment | {"PORT": str(port)},
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as child,
        ):
            try:
                yield Up(port, child, self._greeting(child))
            finally:
                child.send_signal(signal.SIGINT)

    def _greeting(self, child: subprocess.Popen[str]) -> dict[str, str]:
        assert child.stdout is not None
        lines: dict[str, str] = {}
        for line in child.stdout:
            word, _, rest = line.strip().partition(" ")
            lines[word] = rest.strip()
            if word == "try":
                return lines
        raise AssertionError((self.folder / "log").read_text()[-4000:])


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """Make a folder that the database's account may enter too."""
    folder = temporary_folder("readme")
    yield Home(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def up(home: Home) -> Iterator[Up]:
    """Start it once for the tests that only talk to it."""
    with home.up() as started:
        yield started


@pytest.fixture
def own_home() -> Iterator[Home]:
    """Make a folder for a test that starts and ends it."""
    folder = temporary_folder("readme")
    yield Home(folder)
    shutil.rmtree(folder, ignore_errors=True)


def paste(script: str, environment: Mapping[str, str] | None = None) -> str:
    """Run lines of shell as they are; answers what they print."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shape(value: object) -> object:
    """Keep the keys of what is shown, and the types of what they hold."""
    match value:
        case dict():
            return {key: shape(one) for key, one in value.items()}
        case list():
            return [shape(one) for one in value[:1]]
        case _:
            return type(value)


def python_block(page: Path, section: str) -> str:
    (block,) = blocks(page, "python", section=section)
    return block.text


@pytest.mark.usefixtures("curl")
def test_the_line_to_paste_has_a_card_drawn(up: Up) -> None:
    card = ast.literal_eval(paste(up.lines["try"]))
    assert card["text"]
    assert card["source"] == "deck"


@pytest.mark.usefixtures("curl")
def test_the_lines_for_rest_answer_what_is_shown(up: Up) -> None:
    """They are one session, in one shell; a block of JSON shows what the lines above it print."""
    shown = blocks(README, "bash", "json", section=REST)
    typed = [block for block in shown if block.language == "bash"]
    script = f"echo '{MARK}'\n".join(block.text for block in typed).replace(
        "localhost:8000", f"localhost:{up.port}"
    )
    printed = dict(zip(typed, paste(script).split(f"{MARK}\n"), strict=True))
    answers = [pair for pair in pairwise(shown) if pair[1].language == "json"]
    assert len(answers) == 2
    for asked, answer in answers:
        assert shape(json.loads(printed[asked])) == shape(json.loads(answer.text))
    email, card = (printed[block] for block in typed[1:3])
    assert email.strip() == ADA["email"]
    assert ast.literal_eval(card)["mode"] == "dare"
    (party,) = (printed[block] for block in typed if "/parties" in block.text)
    seq, status, messages = party.splitlines()
    assert (seq, status) == ("1", "succeeded")
    assert [message["kind"] for message in ast.literal_eval(messages)] == ["user", "system"]
    assert printed[typed[-1]] == ""


def test_the_printed_administrator_and_pages_are_there(up: Up) -> None:
    email, _, password = up.lines["admin"].partition(" / ")
    with httpx.Client(trust_env=False, timeout=PATIENCE_S) as client:
        pair = client.post(f"{up.api}/auth/login", json={"email": email, "password": password})
        assert pair.status_code == 200
        token = {"Authorization": f"Bearer {pair.json()['access_token']}"}
        assert client.get(f"{up.api}/dead-letters", headers=token).status_code == 200
        assert client.get(up.lines["docs"]).status_code == 200


def test_the_line_for_an_administrator_makes_one(home: Home, up: Up) -> None:
    (line,) = [
        line
        for block in blocks(README, "sh", section=RUN)
        for line in block.text.splitlines()
        if "create-admin" in line
    ]
    paste(line.replace(".venv/bin/parlor", str(PARLOR)), home.environment)
    account = {"email": "you@example.org", "password": "a long password"}
    assert httpx.post(f"{up.api}/auth/login", json=account, trust_env=False).status_code == 200


def test_a_kill_loses_nothing_and_the_next_start_goes_on(own_home: Home) -> None:
    with own_home.up() as first:
        assert httpx.post(f"{first.api}/auth/register", json=ADA, trust_env=False).status_code == 201
        first.child.kill()
        first.child.wait()
    with own_home.up() as second:
        assert httpx.post(f"{second.api}/auth/login", json=ADA, trust_env=False).status_code == 200
        assert second.lines["admin"].startswith("admin@parlor.local / (set on the first run")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_everything_that_it_started(own_home: Home, number: signal.Signals) -> None:
    """Ctrl-C sends the one, supervisors the other: both leave a database that was stopped in peace."""
    data = own_home.folder / "data"
    with own_home.up() as started:
        assert (data / "database-url").exists()
        started.child.send_signal(number)
        started.child.wait()
        assert not (data / "database-url").exists()
        assert not (data / "postgres/cluster/postmaster.pid").exists()


def test_a_port_in_use_is_one_line_before_anything_is_started(up: Up, own_home: Home) -> None:
    done = subprocess.run(
        [PARLOR, "up"],
        env=own_home.environment | {"PORT": str(up.port)},
        cwd=own_home.folder,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert str(up.port) in line
    assert list(own_home.folder.iterdir()) == []


async def test_the_producer_in_the_readme_has_a_card_drawn(fleet: Fleet, tmp_path: Path) -> None:
    api, _ = await fleet.serve(), await fleet.worker()
    task_id = run_python(python_block(README, RABBITMQ), fleet, tmp_path).strip()
    async with as_admin(fleet, api.base) as admin:

        async def has_succeeded() -> bool:
            task = (await admin.get(f"/tasks/{task_id}")).json()
            return bool(task.get("status") == "succeeded")

        await eventually(has_succeeded)


async def test_check_finds_everything_right(fleet: Fleet) -> None:
    done = fleet.run("check")
    assert done.returncode == 0, done.stdout
    assert {line.split()[-1] for line in done.stdout.splitlines()} == {"ok"}


async def test_each_process_serves_by_itself(fleet: Fleet) -> None:
    """Any number of each: two of them, and a relay beside workers that have none."""
    api, other = await fleet.serve(), await fleet.serve()
    await fleet.worker("--no-relay")
    await fleet.relay()
    async with signed_in(api.base) as me:
        task = (await me.post("/tasks", json={"kind": "truth_or_dare", "payload": {}})).json()
        ended = await me.get(f"{other.base}/api/v1/tasks/{task['id']}", params={"wait": 30})
    assert ended.json()["status"] == "succeeded"


def test_the_unit_test_in_the_readme_passes(tmp_path: Path) -> None:
    (tmp_path / "test_shown.py").write_text(python_block(README, BUILD))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", ROOT / "pyproject.toml", "--rootdir", ROOT, tmp_path],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def write(program: str, fleet: Fleet, folder: Path) -> Path:
    """Store a program that is shown; its exchanges and queues are this fleet's own."""
    path = folder / f"shown_{len(list(folder.glob('shown_*')))}.py"
    path.write_text(program.replace('"parlor.', f'"{fleet.namespace}.'))
    return path


def run_python(program: str, fleet: Fleet, folder: Path) -> str:
    """Run a program that is shown to its end."""
    return subprocess.run(
        [sys.executable, write(program, fleet, folder)],
        env=os.environ | {"RABBITMQ_URL": fleet.rabbitmq_url},
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
