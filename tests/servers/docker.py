"""Servers that run in containers, where a Docker engine answers."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping

from parlor.entrypoints.embedded import children
from tests.servers.processes import ServerFailed, temporary_folder, wait_until

PULL_PATIENCE_S = 600


def answers() -> bool:
    """Tell whether there is an engine, and not only its client."""
    return shutil.which("docker") is not None and _docker("version").returncode == 0


class Container:
    """An image and its command. It is attached to a child of ours, so that it stops with us."""

    def __init__(
        self,
        *command: str,
        url: str,
        ports: tuple[int, int],
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url
        self.origin = f"docker {command[0]}"
        self._name = f"parlor-{secrets.token_hex(6)}"
        self._folder = temporary_folder("docker")
        self._ready = ready
        self._child: subprocess.Popen[bytes] | None = None
        outside, inside = ports
        self._create = ["create", "--name", self._name, "--publish", f"127.0.0.1:{outside}:{inside}"]
        self._create += [word for name, value in (env or {}).items() for word in ("--env", f"{name}={value}")]
        self._create += command

    def start(self) -> None:
        if _docker("inspect", self._name).returncode != 0:
            _done(*self._create)
        self._child = children.spawn(
            ["docker", "start", "--attach", self._name],
            log=self._folder / "log",
            env=os.environ,
            at_our_death=signal.SIGTERM,
        )
        wait_until(lambda: self._has_ended or self._ready(), what=self.origin)
        if self._has_ended:
            raise ServerFailed(f"{self.origin} ended:\n{(self._folder / 'log').read_text()[-4000:]}")

    @property
    def _has_ended(self) -> bool:
        return self._child is None or self._child.poll() is not None

    def stop(self) -> None:
        _docker("unpause", self._name)
        self._end("stop", "-t", "30")

    def kill(self) -> None:
        self._end("kill")

    def pause(self) -> None:
        _done("pause", self._name)

    def resume(self) -> None:
        _done("unpause", self._name)

    def execute(self, *argv: str, text: str = "") -> str:
        """Run a program inside."""
        return _done("exec", "--interactive", self._name, *argv, text=text)

    def close(self) -> None:
        _docker("rm", "--force", "--volumes", self._name)
        if self._child is not None:
            self._child.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, *command: str) -> None:
        if self._child is not None:
            _done(*command, self._name)
            self._child.wait()
            self._child = None


def _done(*arguments: str, text: str = "") -> str:
    done = _docker(*arguments, text=text)
    if done.returncode != 0:
        raise ServerFailed(f"docker {arguments[0]}: {done.stderr}")
    return done.stdout


def _docker(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=PULL_PATIENCE_S,
    )
