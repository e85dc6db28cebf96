"""The load process, as its owner sees it, and the requests that it is given."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from benchmarks.load import Answer, Job
from benchmarks.stage import Stage


@dataclass(frozen=True, slots=True)
class Loader:
    """A load process that waits for jobs."""

    process: asyncio.subprocess.Process

    async def run(self, job: Job, *, expect: Collection[int] = (200,)) -> Answer:
        """Have a job done; raises where an answer had none of the expected statuses."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("The load process has ended.")
        answer = Answer(**json.loads(line))
        if not set(map(int, answer.statuses)) <= set(expect):
            raise RuntimeError(f"{job.requests[0].splitlines()[0]}: answered with {answer.statuses}")
        return answer


@asynccontextmanager
async def a_loader(stage: Stage) -> AsyncIterator[Loader]:
    """Start a load process; it ends with its stdin."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.load",
        env=stage.environment,
        cwd="/",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    try:
        yield Loader(process)
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
