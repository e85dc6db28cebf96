"""Watching a task over HTTP: its newest state, and each one that follows, until it has ended."""

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request

from parlor.container import Container
from parlor.core.shared.errors import Busy, Flaw, Invalid
from parlor.core.shared.ids import TaskId
from parlor.core.shared.meters import ONE, Meters
from parlor.core.tasks.watching import Sight, Watch, WatchTask
from parlor.entrypoints.http.auth import StreamCaller
from parlor.entrypoints.http.call import call_of
from parlor.entrypoints.http.openapi import OWN, needs
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.streams import EventStream, Message, Streams, TooManyStreams
from parlor.entrypoints.http.tasks import TASK_SCOPES

HEADER = "Last-Event-ID"
VERSION = "^[0-9]{1,10}$"
PARAMETER = {
    "in": "header",
    "name": HEADER,
    "description": "The last version seen; counts before `last_event_id`.",
    "schema": {"type": "string", "pattern": VERSION},
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`event: task` with the task's version as its `id` and the Task as its `data`, on one line; "
        "a comment every 15 s. Ends after a final status; open it anew with the last `id` where it ends before.",
        "content": {
            "text/event-stream": {"example": 'event: task\nid: 3\ndata: {"id": "…", "version": 3}\n\n'}
        },
    },
    204: {"description": "The task has ended, and this version of it was seen: nothing will follow."},
}

SeenInQuery = Annotated[
    str | None, Query(pattern=VERSION, description="The last version seen, where no header can be sent.")
]


class InvalidEventId(Invalid):
    """The last event's id is a version: a number."""

    code = "invalid_event_id"

    def __init__(self) -> None:
        super().__init__()
        self.flaws = (Flaw(f"header:{HEADER}", self.code, self.detail),)


@dataclass(slots=True)
class TaskMessages:
    """Source of a stream: what one has not seen of a task."""

    watch: Watch
    unseen: Sight | None

    async def next(self, seconds: float) -> Message | None:
        """Give the task as it is at first, then each newer state."""
        sight, self.unseen = self.unseen, None
        if sight is None:
            sight = await self.watch.next(seconds)
        return None if sight is None else Message("task", sight.version, sight.json, last=sight.ended)


def task_event_routes(container: Container) -> APIRouter:
    """Make the route."""
    routes = api_router("tasks")
    streams = container.build(Streams)
    container.get(Meters).level("parlor_streams", "Streams of server-sent events that are open.").reads(
        lambda: {ONE: streams.open}
    )
    watch_task = container.build(WatchTask)

    @routes.get(
        "/tasks/{task_id}/events",
        status_code=200,
        response_class=EventStream,
        responses=RESPONSES,
        openapi_extra=needs(OWN, InvalidEventId, Busy, TooManyStreams, keys=TASK_SCOPES)
        | {"parameters": [PARAMETER]},
    )
    async def task_events(
        task_id: UUID, request: Request, caller: StreamCaller, last_event_id: SeenInQuery = None
    ) -> EventStream:
        """Watch a task: first as it is now, unless that was seen, then each change until it has ended."""
        seen = _seen(request, last_event_id)
        begin = partial(watch_task, caller.principal.actor, TaskId(task_id))
        return EventStream(streams, caller, lambda: _messages(begin(), seen))

    return routes


@asynccontextmanager
async def _messages(
    beginning: AbstractAsyncContextManager[Watch], seen: int
) -> AsyncGenerator[TaskMessages | None]:
    """Begin where one left off; None where nothing will follow."""
    async with beginning as watch:
        unseen = watch.first if watch.first.version > seen else None
        over = watch.first.ended and unseen is None
        yield None if over else TaskMessages(watch, unseen)


def _seen(request: Request, in_query: str | None) -> int:
    """Tell the last version that the client saw, 0 for none: a browser that reconnects repeats the older address."""
    in_header = call_of(request.scope).header(HEADER.lower().encode())
    if in_header and not re.fullmatch(VERSION, in_header, re.ASCII):
        raise InvalidEventId
    return int(in_header or in_query or 0)
