"""Schedules: have a task made at each minute that a cron line names."""

from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import IdempotencyInProgress, IdempotencyKeyReused, Stale
from parlor.core.shared.ids import ScheduleId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.core.tasks.kinds import InvalidPayload, UnknownKind
from parlor.core.tasks.schedules import InvalidCron, NeverDue, OwnerNeeded, TooManySchedules, UnknownTimezone
from parlor.core.tasks.schedules_ports import ScheduleViews
from parlor.core.tasks.schedules_use_cases import CREATED, AddSchedule, ChangeSchedule, RemoveSchedule
from parlor.entrypoints.http import idempotency, preconditions
from parlor.entrypoints.http.answers import etag, shown, viewed
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.idempotency import REPLAYED, InvalidIdempotencyKey, once_key
from parlor.entrypoints.http.openapi import OWN, needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.preconditions import InvalidIfMatch, expected_by
from parlor.entrypoints.http.routing import BASE, api_router
from parlor.entrypoints.http.schedule_schemas import Schedule, ScheduleBody, ScheduleChanges, SchedulePage
from parlor.entrypoints.http.tasks import TASK_SCOPES

CHECKED = (InvalidCron, NeverDue, UnknownTimezone, UnknownKind, InvalidPayload)
ADD_EXTRA = needs(
    "tasks:create",
    *CHECKED,
    OwnerNeeded,
    TooManySchedules,
    IdempotencyKeyReused,
    IdempotencyInProgress,
    InvalidIdempotencyKey,
) | {"parameters": [idempotency.PARAMETER]}
CHANGE_EXTRA = needs(OWN, *CHECKED, PermissionMissing, Stale, InvalidIfMatch, keys=TASK_SCOPES) | {
    "parameters": [preconditions.PARAMETER]
}
REMOVE_EXTRA = needs(OWN, Stale, InvalidIfMatch, keys=TASK_SCOPES) | {"parameters": [preconditions.PARAMETER]}


def schedule_routes(container: Container) -> APIRouter:
    """Make the routes of schedules."""
    routes = api_router("schedules")
    add_schedule = container.command(AddSchedule)
    change_schedule = container.command(ChangeSchedule)
    remove_schedule = container.command(RemoveSchedule)
    views = container.get(ScheduleViews)
    cursors = Cursors("schedules", container.settings.secrets)

    @routes.get(
        "/schedules", response_model=SchedulePage, openapi_extra=needs(OWN, InvalidCursor, keys=TASK_SCOPES)
    )
    async def list_schedules(
        actor: CurrentActor, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List one's schedules, newest first; `tasks:manage` sees everybody's."""
        return cursors.answer(await views.page(actor, cursors.request(limit, cursor)))

    @routes.post("/schedules", status_code=CREATED, response_model=Schedule, openapi_extra=ADD_EXTRA)
    async def add(body: ScheduleBody, request: Request, actor: CurrentActor) -> Response:
        """Have a task made at each due moment; its kind may ask for one permission more."""
        added = await add_schedule(actor, body.new(), once=once_key(request, actor))
        place = {"Location": f"{BASE}/schedules/{added.schedule_id}"}
        if added.schedule is None:
            view = await views.one(actor, added.schedule_id)
            return viewed(view, status=CREATED, headers=place | REPLAYED)
        made = Schedule.model_validate(added.schedule)
        return shown(made, status=CREATED, headers={"ETag": etag(made.version), **place})

    @routes.get(
        "/schedules/{schedule_id}", response_model=Schedule, openapi_extra=needs(OWN, keys=TASK_SCOPES)
    )
    async def get_schedule(schedule_id: UUID, actor: CurrentActor) -> Response:
        """Read a schedule."""
        return viewed(await views.one(actor, ScheduleId(schedule_id)))

    @routes.patch("/schedules/{schedule_id}", response_model=Schedule, openapi_extra=CHANGE_EXTRA)
    async def change(
        schedule_id: UUID, body: ScheduleChanges, request: Request, actor: CurrentActor
    ) -> Response:
        """Change a schedule; a new payload or kind needs the permissions of a new schedule."""
        expected = expected_by(request)
        changed = Schedule.model_validate(
            await change_schedule(actor, ScheduleId(schedule_id), body.changes(), expected=expected)
        )
        return shown(changed, headers={"ETag": etag(changed.version)})

    @routes.delete("/schedules/{schedule_id}", status_code=204, openapi_extra=REMOVE_EXTRA)
    async def remove(schedule_id: UUID, request: Request, actor: CurrentActor) -> Response:
        """End a schedule; the tasks that it made stay."""
        await remove_schedule(actor, ScheduleId(schedule_id), expected=expected_by(request))
        return Response(status_code=204)

    return routes
