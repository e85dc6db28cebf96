"""Tasks: order one, watch it, read what became of it."""

from functools import cache
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.shared.actor import Actor, PermissionMissing
from parlor.core.shared.errors import IdempotencyInProgress, IdempotencyKeyReused
from parlor.core.shared.ids import TaskId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.core.tasks.kinds import InvalidPayload, Kinds, UnknownKind
from parlor.core.tasks.model import PayloadDropped, TaskEnded, TaskNotFailed, TaskStatus, UniqueKeyTaken
from parlor.core.tasks.ports import TaskViews
from parlor.core.tasks.use_cases import CancelTask, EnqueueBatch, Enqueued, EnqueueTask, RetryTask
from parlor.core.tasks.waiting import WaitForEnd
from parlor.entrypoints.http.answers import JSON, etag, shown, viewed
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.call import call_of
from parlor.entrypoints.http.idempotency import PARAMETER, REPLAYED, InvalidIdempotencyKey, once_key
from parlor.entrypoints.http.openapi import OWN, SIGNED_IN, needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.routing import BASE, api_router
from parlor.entrypoints.http.schemas import OneLine
from parlor.entrypoints.http.task_schemas import (
    KIND_LENGTH,
    BatchBody,
    OrderBody,
    Task,
    TaskBatch,
    TaskKindPage,
    TaskPage,
    kind_page,
)

LONGEST_WAIT_S = 30
TASK_SCOPES = ("tasks:create", "tasks:manage")

KindFilter = Annotated[OneLine | None, Query(min_length=KIND_LENGTH[0], max_length=KIND_LENGTH[1])]
Wait = Annotated[int, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the task's end.")]

ORDER_EXTRA = needs(
    "tasks:create",
    UnknownKind,
    InvalidPayload,
    UniqueKeyTaken,
    IdempotencyKeyReused,
    IdempotencyInProgress,
    InvalidIdempotencyKey,
) | {"parameters": [PARAMETER]}
LIVES: dict[int | str, dict[str, Any]] = {
    200: {"model": Task, "description": "A live task has this unique key."}
}
STOPPING: dict[int | str, dict[str, Any]] = {
    202: {"model": Task, "description": "It was running; its handler is being stopped."}
}
RETRY_PROBLEMS = (PermissionMissing, UnknownKind, TaskNotFailed, PayloadDropped, UniqueKeyTaken)


def task_routes(container: Container) -> APIRouter:
    """Make the routes that order tasks and read them."""
    routes = api_router("tasks")
    enqueue_task = container.command(EnqueueTask)
    enqueue_batch = container.command(EnqueueBatch)
    wait_for_end = container.build(WaitForEnd)
    views = container.get(TaskViews)
    task_cursors = Cursors("tasks", container.settings.secrets)
    described = cache(lambda: kind_page(container.get(Kinds)))

    @routes.get("/tasks/{task_id:other}", response_model=Task, openapi_extra=needs(OWN, keys=TASK_SCOPES))
    async def get_task(task_id: UUID, actor: CurrentActor, wait: Wait = 0) -> Response:
        """Read a task; with `wait`, once it has ended or so many seconds have passed."""
        await wait_for_end(actor, TaskId(task_id), seconds=wait)
        return viewed(await views.one(actor, TaskId(task_id)))

    @routes.post("/tasks", status_code=202, response_model=Task, responses=LIVES, openapi_extra=ORDER_EXTRA)
    async def enqueue(body: OrderBody, request: Request, actor: CurrentActor) -> Response:
        """Order a task: 202 for a new one, 200 with the live one that has its unique key."""
        order = body.order(traceparent=call_of(request.scope).traceparent)
        enqueued = await enqueue_task(actor, order, once=once_key(request, actor))
        return await _answer(views, actor, enqueued)

    @routes.post("/tasks/batch", status_code=202, response_model=TaskBatch, openapi_extra=ORDER_EXTRA)
    async def enqueue_all(body: BatchBody, request: Request, actor: CurrentActor) -> Response:
        """Order up to 1,000 tasks, all or nothing; a live task that has an order's unique key stands for it."""
        traceparent = call_of(request.scope).traceparent
        orders = [one.order(traceparent=traceparent) for one in body.tasks]
        enqueued = await enqueue_batch(actor, orders, once=once_key(request, actor))
        items = await views.some(actor, enqueued.task_ids)
        headers = REPLAYED if enqueued.replayed else None
        return Response(b'{"items":' + items + b"}", status_code=202, headers=headers, media_type=JSON)

    @routes.get("/tasks", response_model=TaskPage, openapi_extra=needs(OWN, InvalidCursor, keys=TASK_SCOPES))
    async def list_tasks(
        actor: CurrentActor,
        status: TaskStatus | None = None,
        kind: KindFilter = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """List one's tasks, newest first; `tasks:manage` sees everybody's."""
        page = task_cursors.request(limit, cursor)
        return task_cursors.answer(await views.page(actor, page, status=status, kind=kind))

    @routes.get("/task-kinds", response_model=TaskKindPage, openapi_extra=needs(SIGNED_IN))
    async def list_task_kinds(_: CurrentActor) -> Response:
        """List the kinds of tasks, with the JSON Schemas of their payloads and results."""
        return shown(described())

    return routes


def task_steering_routes(container: Container) -> APIRouter:
    """Make the routes that stop a task, or run it again."""
    routes = api_router("tasks")
    cancel_task = container.command(CancelTask)
    retry_task = container.command(RetryTask)
    views = container.get(TaskViews)

    @routes.post(
        "/tasks/{task_id}/cancel",
        response_model=Task,
        responses=STOPPING,
        openapi_extra=needs(OWN, TaskEnded, keys=TASK_SCOPES),
    )
    async def cancel(task_id: UUID, actor: CurrentActor) -> Response:
        """End a task before its time: 200 when it was waiting, 202 when its handler is being stopped."""
        ran = await cancel_task(actor, TaskId(task_id))
        return viewed(await views.one(actor, TaskId(task_id)), status=202 if ran else 200)

    @routes.post(
        "/tasks/{task_id}/retry",
        status_code=202,
        response_model=Task,
        openapi_extra=needs(OWN, *RETRY_PROBLEMS, keys=TASK_SCOPES),
    )
    async def retry(task_id: UUID, actor: CurrentActor) -> Response:
        """Run a failed or cancelled task again, its attempts counted from the start."""
        await retry_task(actor, TaskId(task_id))
        return viewed(await views.one(actor, TaskId(task_id)), status=202)

    return routes


async def _answer(views: TaskViews, actor: Actor, enqueued: Enqueued) -> Response:
    """Answer with the task as it is now; a new one is at hand and needs no query."""
    headers = {"Location": f"{BASE}/tasks/{enqueued.task_id}"}
    if enqueued.task is not None:
        task = Task.model_validate(enqueued.task)
        return shown(task, status=enqueued.status, headers={"ETag": etag(task.version), **headers})
    if enqueued.replayed:
        headers |= REPLAYED
    return viewed(await views.one(actor, enqueued.task_id), status=enqueued.status, headers=headers)
