"""A throwaway RabbitMQ, which shares nothing with another one on the same machine."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from parlor.entrypoints.embedded import children
from tests.servers.docker import Container
from tests.servers.processes import LocalProcess, ServerFailed, answers, temporary_folder
from tests.servers.server import Program, Server
from tests.servers.sources import Recipe, choose

INSIDE = 5672
# The programs themselves come first: what Debian has in PATH is a wrapper that becomes another user.
SCRIPTS = ("/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin", "/opt/rabbitmq/sbin")
LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"


class Broker(Program, Protocol):
    """A RabbitMQ, whatever it runs in."""

    def ctl(self, *arguments: str, text: str = "") -> str: ...


class RabbitMQ(Server):
    """A RabbitMQ of one's own."""

    _program: Broker

    def __init__(self) -> None:
        super().__init__(choose(RECIPE))

    def ctl(self, *arguments: str, text: str = "") -> str:
        """Run `rabbitmqctl` against this server and answer with what it printed."""
        return self._program.ctl(*arguments, text=text)

    def close_connections(self) -> None:
        """Close every client's connection, as an operator would."""
        self.ctl("close_all_connections", "--global", "closed by a test")

    def add_vhosts(self, names: Iterable[str]) -> None:
        """Give each of these to the guest: a broker of its own, as far as a client can tell."""
        everything = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}
        wanted = list(names)
        vhosts = [{"name": name} for name in wanted]
        permissions = [{"vhost": name, **everything} for name in wanted]
        self.ctl("import_definitions", text=json.dumps({"vhosts": vhosts, "permissions": permissions}))


class LocalRabbitMQ:
    """A node with its own name, ports, cookie and folders, and the `epmd` that it is listed in."""

    def __init__(self, scripts: Path, epmd: str) -> None:
        self._folder = temporary_folder("rabbitmq")
        self._port, node_port, epmd_port = children.free_ports(3)
        self._ctl = str(scripts / "rabbitmqctl")
        self._env = _environment(self._folder, node_port=node_port, epmd_port=epmd_port)
        _write_settings(self._folder, self._port)
        self._epmd = LocalProcess(
            [epmd, "-port", str(epmd_port), "-address", "127.0.0.1"],
            url="",
            folder=self._folder,
            ready=lambda: answers(epmd_port, b"\0\1n", epmd_port.to_bytes(4)),
            env=self._env,
        )
        self._node = LocalProcess(
            [str(scripts / "rabbitmq-server")],
            url=_url(self._port),
            folder=self._folder,
            ready=partial(_is_ready, self._port),
            env=self._env,
        )
        self.url, self.origin = self._node.url, self._node.origin

    def start(self) -> None:
        self._epmd.start()
        self._node.start()

    def stop(self) -> None:
        self._node.stop()

    def kill(self) -> None:
        self._node.kill()

    def pause(self) -> None:
        self._node.pause()

    def resume(self) -> None:
        self._node.resume()

    def close(self) -> None:
        self._node.kill()
        self._epmd.close()

    def ctl(self, *arguments: str, text: str = "") -> str:
        done = subprocess.run(
            [self._ctl, "--quiet", *arguments],
            env=self._env,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailed(f"rabbitmqctl {arguments[0]}: {done.stderr}")
        return done.stdout


class RabbitMQContainer(Container):
    """The official image."""

    def ctl(self, *arguments: str, text: str = "") -> str:
        return self.execute("rabbitmqctl", "--quiet", *arguments, text=text)


def _environment(folder: Path, *, node_port: int, epmd_port: int) -> Mapping[str, str]:
    foreign = ("RABBITMQ_", "ERL_", "NOTIFY_SOCKET")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return inherited | {
        "HOME": str(folder),  # of the cookie
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"parlor-{secrets.token_hex(4)}@localhost",
        "RABBITMQ_DIST_PORT": str(node_port),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "env.conf"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
        "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK,
        "RABBITMQ_CTL_ERL_ARGS": LOOPBACK,
        # Makes the script become the server instead of starting it: the process we know is the right one.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def _write_settings(folder: Path, port: int) -> None:
    settings = [f"listeners.tcp.default = 127.0.0.1:{port}", "disk_free_limit.absolute = 1MB"]
    settings += ["log.file = false", "log.console = true"]
    (folder / "rabbitmq.conf").write_text("\n".join(settings) + "\n")
    (folder / "enabled_plugins").write_text("[].\n")
    (folder / "env.conf").touch()
    cookie = folder / ".erlang.cookie"
    cookie.write_text(secrets.token_hex(16))
    cookie.chmod(0o400)


def _local() -> Broker | None:
    scripts = _scripts()
    epmd = shutil.which("epmd")
    return LocalRabbitMQ(scripts, epmd) if scripts and epmd else None


def _scripts() -> Path | None:
    in_path = shutil.which("rabbitmq-server")
    found = [folder for pattern in SCRIPTS for folder in sorted(Path("/").glob(pattern.lstrip("/")))]
    found += [Path(in_path).parent] if in_path else []
    return next((folder for folder in found if (folder / "rabbitmq-server").is_file()), None)


def _container() -> Broker:
    port = children.free_port()
    ready = partial(_is_ready, port)
    return RabbitMQContainer("rabbitmq:4-alpine", url=_url(port), ports=(port, INSIDE), ready=ready)


def _url(port: int) -> str:
    return f"amqp://guest:guest@127.0.0.1:{port}"


def _is_ready(port: int) -> bool:
    return answers(port, b"AMQP\x00\x00\x09\x01", b"\x01")


RECIPE: Recipe[Broker] = Recipe("RabbitMQ", "TEST_RABBITMQ_URL", "rabbitmq-server", _local, _container)
