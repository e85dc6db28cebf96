"""Tasks: ordered, waited for, watched."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from parlor.client.errors import ClientError
from parlor.client.rest import Rest
from parlor.client.sse import SILENCE_S, events

ENDED = {"succeeded", "failed", "cancelled"}
WAIT_S = 20  # how long the server holds one answer
NO_CONTENT = 204


@dataclass(frozen=True, slots=True)
class Tasks:
    """Background work; a task is a dict with the fields of `Task`."""

    rest: Rest

    async def order(self, kind: str, payload: dict[str, Any], **options: Any) -> Any:
        """Have something done; the options are the other fields of POST `/tasks`."""
        return await self.rest.post("/tasks", json={"kind": kind, "payload": payload, **options})

    async def wait(self, task_id: str, timeout_s: float = 300) -> Any:
        """Give the task once it has ended, in whatever way. Raises TimeoutError; the task goes on then."""
        path, query = f"/tasks/{task_id}", {"wait": WAIT_S}
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    task = await self.rest.request("GET", path, query=query, timeout_s=WAIT_S + SILENCE_S)
                except ClientError as error:
                    if not error.temporary:
                        raise
                else:
                    if task["status"] in ENDED:
                        return task
                await asyncio.sleep(self.rest.backoff.pause(0))  # a process that ends answers at once

    async def watch(self, task_id: str, *, seen: int = 0) -> AsyncGenerator[Any]:
        """Give the task as it is, then each newer state, until it has ended; nothing up to the version `seen`.

        A stream that breaks off is opened anew where it was, for as long as it takes. To leave early, `aclose` it.
        """
        attempt, at_least = 0, 0.0
        while True:
            try:
                async with self._events(task_id, seen) as answer:
                    if answer.status_code == NO_CONTENT:
                        return
                    async with aclosing(events(answer)) as told:
                        async for data in told:
                            task = json.loads(data)
                            if task["version"] > seen:
                                seen, attempt = task["version"], 0
                                yield task
                            if task["status"] in ENDED:
                                return
            except ClientError as error:
                if not error.temporary:
                    raise
                at_least = error.retry_after
            await asyncio.sleep(self.rest.backoff.pause(attempt, at_least=at_least))
            attempt, at_least = attempt + 1, 0.0

    def _events(self, task_id: str, seen: int) -> AbstractAsyncContextManager[httpx.Response]:
        headers = {"Last-Event-ID": str(seen)}
        return self.rest.stream(f"/tasks/{task_id}/events", headers=headers, silence_s=SILENCE_S)
