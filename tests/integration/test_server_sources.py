"""Where the tests' servers come from: programs, Docker, packages, in this order, and never a skip."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from tests.servers import NoServer, Redis, Server, apt, docker, redis as redis_server
from tests.servers.processes import LocalProcess, is_listening, port_of
from tests.servers.server import Program
from tests.servers.sources import Recipe, choose

LOCAL = create_autospec(LocalProcess, instance=True)
CONTAINER = create_autospec(docker.Container, instance=True)
# What Docker is to us: made once, attached when started, ended by name.
DOCKER = """\
#!/bin/sh
cd {folder}
case $1 in
    version) ;;
    inspect) test -f "$2" ;;
    create) echo "$5" | cut -d: -f2 > "$3" ;;
    start) echo $$ > pid; exec {program} --port "$(cat "$3")" --save '' ;;
    pause) kill -STOP "$(cat pid)" ;;
    unpause) kill -CONT "$(cat pid)" ;;
    stop) kill "$(cat pid)" ;;
    kill) kill -9 "$(cat pid)" ;;
    rm) kill -9 "$(cat pid)"; rm "$4" ;;
esac
"""


def a_recipe(*local: Program | None) -> Recipe[Program]:
    """Make one whose program each look at this machine finds, or does not."""
    looks = iter(local)
    return Recipe("Oracle", "TEST_ORACLE_URL", "oracle", lambda: next(looks), lambda: CONTAINER)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Make up a machine, with Docker or packages or neither, that tells what was installed on it."""

    def make(*, engine: bool, root: bool) -> list[str]:
        installed: list[str] = []
        monkeypatch.setattr(docker, "answers", lambda: engine)
        monkeypatch.setattr(apt, "can_install", lambda: root)
        monkeypatch.setattr(apt, "install", installed.append)
        return installed

    return make


def test_programs_come_before_docker_and_docker_before_packages(machine: Callable[..., list[str]]) -> None:
    """What is here is used as it is; nothing is installed as long as something else works."""
    installed = machine(engine=True, root=True)
    assert choose(a_recipe(LOCAL)) is LOCAL
    assert choose(a_recipe(None)) is CONTAINER
    assert installed == []
    installed = machine(engine=False, root=True)
    assert choose(a_recipe(None, LOCAL)) is LOCAL
    assert installed == ["oracle"]


def test_a_machine_without_any_way_is_told_what_is_missing(machine: Callable[..., list[str]]) -> None:
    """Tests fail with this line, and are not skipped."""
    machine(engine=False, root=False)
    with pytest.raises(NoServer, match=r"Oracle.*package oracle.*Docker.*TEST_ORACLE_URL"):
        choose(a_recipe(None))


def test_a_container_is_started_stopped_killed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps that Docker is asked for, by a stand-in that runs the server itself."""
    with Redis() as found:
        program = found.origin
    stand_in = tmp_path / "docker"
    stand_in.write_text(DOCKER.format(folder=tmp_path, program=program))
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert docker.answers()
    with Server(redis_server._container()) as server:
        assert redis_server._is_ready(port_of(server.url))
        server.restart()
        assert redis_server._is_ready(port_of(server.url))
        server.pause()
        assert not redis_server._is_ready(port_of(server.url))
        server.resume()
        server.kill()
        assert not is_listening(server.url)
        server.start()
        assert redis_server._is_ready(port_of(server.url))
    assert not is_listening(server.url)
    assert {path.name for path in tmp_path.iterdir()} == {"docker", "pid"}
