"""The programs of docs/producers.md, each run as it stands there, against processes that run."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pika
import pytest

from parlor.adapters.rabbitmq.connection import visit
from parlor.adapters.rabbitmq.topology import Names, declare
from tests.architecture.documents import blocks
from tests.architecture.source import ROOT
from tests.fleet import Fleet
from tests.nodejs import AMQPLIB, NODE, node_modules
from tests.rabbitmq import BlockingChannel, Foreign, a_namespace, remove
from tests.waiting import PATIENCE_S

PAGE = ROOT / "docs/producers.md"
SUCCEEDED = "parlor.tasks.task_succeeded.v1"
ORDER, HEAR, WATCH = range(3)
CLIENTS = ["pika", "aio-pika", "amqplib"]
RETURNED = ("UnroutableError", "PublishError", "no queue took it")  # each client's own word for it


@dataclass(frozen=True)
class Shown:
    """The three programs for one client library, in the order of the page, and what runs them."""

    programs: list[Path]
    runs: str | Path


@dataclass(frozen=True)
class Broker:
    """A namespace with its exchanges and queues, and no process of Parlor's."""

    rabbitmq_url: str
    namespace: str


@dataclass
class Listener:
    """A program that prints a line for whatever it hears."""

    output: asyncio.StreamReader

    async def line(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return (await self.output.readline()).decode().strip()

    async def hears(self, line: str) -> None:
        """Read on until this line comes."""
        while (said := await self.line()) != line:
            assert said, "the program has ended"


@pytest.fixture(scope="module")
def amqplib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder in which Node finds amqplib."""
    folder = tmp_path_factory.mktemp("node")
    node_modules(folder, AMQPLIB)
    return folder


@pytest.fixture(params=CLIENTS)
def shown(request: pytest.FixtureRequest, tmp_path: Path) -> Shown:
    """Write one client's programs into files."""
    if request.param == "amqplib":
        return _written("Node with amqplib", "js", request.getfixturevalue("amqplib"), ".mjs", NODE)
    return _written(f"Python with {request.param}", "python", tmp_path, ".py", sys.executable)


def _written(section: str, language: str, folder: Path, suffix: str, runs: str | Path) -> Shown:
    found = blocks(PAGE, language, section=section)
    assert len(found) == 3, section
    programs = [folder / f"shown_{number}{suffix}" for number in range(3)]
    for path, block in zip(programs, found, strict=True):
        path.write_text(block.text)
    return Shown(programs, runs)


@pytest.fixture
async def broker(rabbitmq_url: str) -> AsyncIterator[Broker]:
    """Declare what a worker would, where no worker runs."""
    lent = Broker(rabbitmq_url, a_namespace())
    async with visit(rabbitmq_url) as channel:
        await declare(channel, lent.namespace)
        yield lent
        for client in CLIENTS:
            await channel.queue_delete(f"{lent.namespace}-heard-with-{client}")
    await remove(rabbitmq_url, Names(lent.namespace))


def told(fleet: Broker | Fleet, **more: str) -> dict[str, str]:
    """Give a program the addresses that it asks its environment for."""
    return os.environ | {"RABBITMQ_URL": fleet.rabbitmq_url, "PARLOR_NAMESPACE": fleet.namespace} | more


async def run(command: Sequence[str | Path], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a program to its end."""
    child = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await child.communicate()
    assert child.returncode is not None
    return child.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def listening(shown: Shown, program: int, fleet: Broker | Fleet) -> AsyncIterator[Listener]:
    """Start a program that goes on, and wait until it listens."""
    child = await asyncio.create_subprocess_exec(
        shown.runs, shown.programs[program], env=told(fleet), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    listener = Listener(child.stdout)
    try:
        assert await listener.line() in {"listening", "watching"}
        yield listener
    finally:
        child.kill()
        await child.wait()


async def tell(broker: Broker | Fleet, *events: tuple[int, UUID, bytes]) -> None:
    """Publish ends of tasks in the place of a relay, as it would repeat them: number, subject and body."""

    def publish(channel: BlockingChannel) -> None:
        channel.confirm_delivery()
        for sequence, subject, body in events:
            said = {"type": SUCCEEDED, "subject": str(subject), "sequence": f"{sequence:020}"}
            headers = {f"cloudEvents:{name}": value for name, value in said.items()}
            properties = pika.BasicProperties(headers=headers)
            exchange = f"{broker.namespace}.events"
            channel.basic_publish(exchange, "tasks.task_succeeded", body, properties, mandatory=True)

    await asyncio.to_thread(Foreign(broker.rabbitmq_url).do, publish)


async def test_a_producers_day(shown: Shown, fleet: Fleet) -> None:
    """An order is confirmed and its end heard, by whoever listens; and what cannot be taken is seen."""
    await fleet.worker()
    async with listening(shown, HEAR, fleet) as heard, listening(shown, WATCH, fleet) as watched:
        code, output, errors = await run([shown.runs, shown.programs[ORDER]], told(fleet))
        assert code == 0, errors
        task_id, how, body = output.split(maxsplit=2)
        assert how == "tasks.task_succeeded"
        assert json.loads(body) == {"task_id": task_id, "kind": "truth_or_dare"}
        assert await heard.line() == f"{SUCCEEDED} {body.strip()}"
        nonsense = pika.BasicProperties(message_id=str(uuid4()))
        producer = Foreign(fleet.rabbitmq_url)
        await asyncio.to_thread(producer.publish, f"{fleet.namespace}.tasks", "low", b"nonsense", nonsense)
        line = await watched.line()
    assert line.startswith("not_json The body is not JSON in UTF-8.")
    assert "nonsense" in line
    async with fleet.database() as database:
        assert await database.fetchval("select status from tasks where id = $1", UUID(task_id)) == "succeeded"


async def test_an_order_that_no_queue_takes_is_the_producers_to_see(shown: Shown, broker: Broker) -> None:
    def unbind(channel: BlockingChannel) -> None:
        channel.queue_unbind(f"{broker.namespace}.tasks.default", f"{broker.namespace}.tasks", "default")

    await asyncio.to_thread(Foreign(broker.rabbitmq_url).do, unbind)
    code, output, errors = await run([shown.runs, shown.programs[ORDER]], told(broker))
    assert (code != 0, output) == (True, "")
    assert any(word in errors for word in RETURNED), errors


async def test_a_subscriber_prints_each_event_once_and_misses_none(shown: Shown, broker: Broker) -> None:
    """One that is killed may hear again what it had not acknowledged yet."""
    one, other = uuid4(), uuid4()
    repeated = [(9, one, b"1st"), (9, one, b"1st again"), (10, one, b"2nd"), (9, one, b"1st, late")]
    async with listening(shown, HEAR, broker) as heard:
        await tell(broker, *repeated, (1, other, b"another's 1st"))
        lines = [await heard.line() for _ in range(3)]
    assert lines == [f"{SUCCEEDED} {body}" for body in ("1st", "2nd", "another's 1st")]
    await tell(broker, (2, other, b"meanwhile"))
    async with listening(shown, HEAR, broker) as heard:
        await heard.hears(f"{SUCCEEDED} meanwhile")


@pytest.mark.usefixtures("curl")
async def test_a_task_is_had_over_http(fleet: Fleet) -> None:
    """The second program finds the account that the first one made."""
    api, _ = await fleet.serve(), await fleet.worker()
    (lines,), (program,) = (
        blocks(PAGE, language, section="Any HTTP client") for language in ("bash", "python")
    )
    tasks: list[dict[str, Any]] = []
    for command in (["bash", "-euo", "pipefail", "-c", lines.text], [sys.executable, "-c", program.text]):
        code, output, errors = await run(command, told(fleet, API_URL=api.base))
        assert code == 0, errors
        tasks.append(json.loads(output))
    assert [(task["status"], task["result"]["mode"]) for task in tasks] == [("succeeded", "dare")] * 2
    assert tasks[0]["id"] != tasks[1]["id"]
