"""Dead letters: look at what could not be taken, send it again, throw it away."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from parlor.container import Container
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Invalid
from parlor.core.shared.ids import DeadLetterId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.core.tasks.letters import DiscardDeadLetter, ReplayDeadLetter
from parlor.core.tasks.model import MANAGE, AlreadyReplayed
from parlor.core.tasks.ports import LetterViews
from parlor.entrypoints.http.answers import JSON
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.openapi import needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.schemas import OneLine, Shown, ShownTime
from parlor.validation import flaws_of

LONGEST_REASON = 128

Reason = Annotated[
    OneLine | None, Query(min_length=1, max_length=LONGEST_REASON, description="Only those with this reason.")
]
# Read by ourselves: whoever lacks the permission is told so before any id is looked at.
LetterId = Annotated[str, Path(json_schema_extra={"format": "uuid"})]


class DeadLetter(Shown):
    """A message that could not be taken, as it came."""

    id: UUID
    reason: str
    detail: str
    message_id: str | None
    routing_key: str | None
    headers: dict[str, Any]
    body: str
    body_encoding: Literal["utf-8", "base64"]
    content_type: str | None
    dead_at: ShownTime
    replayed_at: ShownTime | None


class DeadLetterPage(Shown):
    """Dead letters, newest first."""

    items: list[DeadLetter]
    next_cursor: str | None


def dead_letter_routes(container: Container) -> APIRouter:
    """Make the routes."""
    routes = api_router("tasks")
    replay_letter = container.command(ReplayDeadLetter)
    discard_letter = container.command(DiscardDeadLetter)
    views = container.get(LetterViews)
    cursors = Cursors("dead-letters", container.settings.secrets)

    @routes.get("/dead-letters", response_model=DeadLetterPage, openapi_extra=needs(MANAGE, InvalidCursor))
    async def list_dead_letters(
        actor: CurrentActor, reason: Reason = None, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List the messages that could not be taken, newest first."""
        actor.must(MANAGE)
        return cursors.answer(await views.page(actor, cursors.request(limit, cursor), reason=reason))

    @routes.get("/dead-letters/{letter_id}", response_model=DeadLetter, openapi_extra=needs(MANAGE))
    async def get_dead_letter(letter_id: LetterId, actor: CurrentActor) -> Response:
        """Read a message that could not be taken."""
        return Response(await views.one(actor, _id(actor, letter_id)), media_type=JSON)

    @routes.post(
        "/dead-letters/{letter_id}/replay",
        status_code=202,
        response_model=DeadLetter,
        openapi_extra=needs(MANAGE, AlreadyReplayed),
    )
    async def replay_dead_letter(letter_id: LetterId, actor: CurrentActor) -> Response:
        """Send the message again as its producer did, once; what is refused then is a dead letter of its own."""
        known = _id(actor, letter_id)
        await replay_letter(actor, known)
        return Response(await views.one(actor, known), status_code=202, media_type=JSON)

    @routes.delete("/dead-letters/{letter_id}", status_code=204, openapi_extra=needs(MANAGE))
    async def discard_dead_letter(letter_id: LetterId, actor: CurrentActor) -> Response:
        """Throw the message away; a replay that was asked for before is sent all the same."""
        await discard_letter(actor, _id(actor, letter_id))
        return Response(status_code=204)

    return routes


def _id(actor: Actor, letter_id: str) -> DeadLetterId:
    """Read an id; raises PermissionMissing, Invalid."""
    actor.must(MANAGE)
    try:
        return DeadLetterId(UUID(letter_id))
    except ValueError:
        raise Invalid(flaws=flaws_of([{"type": "uuid_parsing", "loc": ("path", "letter_id")}])) from None
