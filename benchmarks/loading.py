"""The load processes, as their owner sees them, and the requests that they are given."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import socket_load
from benchmarks.load import Answer, Job
from benchmarks.stage import PYTHON, Stage

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class Process:
    """A process that waits for jobs."""

    process: asyncio.subprocess.Process

    async def ask(self, job: "DataclassInstance") -> dict[str, Any]:
        """Have a job done; raises RuntimeError where it failed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("The load process has ended.")
        told: dict[str, Any] = json.loads(line)
        if "failure" in told:
            raise RuntimeError(told["failure"])
        return told


class Loader(Process):
    """A load process that sends HTTP requests."""

    async def run(self, job: Job, *, expect: Collection[int] = (200,)) -> Answer:
        """Have a job done; raises where an answer had none of the expected statuses."""
        answer = Answer(**await self.ask(job))
        if not set(map(int, answer.statuses)) <= set(expect):
            raise RuntimeError(f"{job.requests[0].splitlines()[0]}: answered with {answer.statuses}")
        return answer


class SocketLoader(Process):
    """A load process that speaks and listens over WebSockets."""

    async def run(self, job: socket_load.Job) -> socket_load.Answer:
        """Have a job done; raises where a frame got lost, or was an error."""
        return socket_load.Answer(**await self.ask(job))


@asynccontextmanager
async def a_loader(stage: Stage) -> AsyncIterator[Loader]:
    """Start a load process; it ends with its stdin."""
    async with _a_process(stage, "benchmarks.load") as process:
        yield Loader(process)


@asynccontextmanager
async def a_socket_loader(stage: Stage) -> AsyncIterator[SocketLoader]:
    """Start one for WebSockets."""
    async with _a_process(stage, "benchmarks.socket_load") as process:
        yield SocketLoader(process)


@asynccontextmanager
async def _a_process(stage: Stage, module: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *PYTHON,
        module,
        env=stage.environment,
        cwd="/",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def request(
    method: str, path: str, *, token: str | None = None, body: Mapping[str, object] | None = None
) -> str:
    """Write a request as its bytes go over the wire."""
    content = "" if body is None else json.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: benchmark", "Accept: */*"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"] if body is not None else []
    return "\r\n".join(lines) + "\r\n\r\n" + content
