"""The operations page: what ends, what waits, what runs, what went wrong, and what may be done about it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import orjson
from sqladmin import expose
from starlette.requests import Request
from starlette.responses import Response

from parlor.core.shared.actor import SYSTEM, Actor
from parlor.core.shared.bus import QueueDepths
from parlor.core.shared.errors import Invalid
from parlor.core.shared.health import Part
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.letters import DiscardDeadLetter, ReplayDeadLetter
from parlor.core.tasks.model import MANAGE, Priority, TaskStatus
from parlor.core.tasks.operations import LISTED, MOST_COUNTED, Numbers, OperationsViews
from parlor.core.tasks.reasons import Reason
from parlor.core.tasks.use_cases import CancelTask, RetryTask
from parlor.entrypoints.admin.kept import Kept
from parlor.entrypoints.admin.pages import Page
from parlor.entrypoints.admin.sweeping import MOST_AT_ONCE, Deed
from parlor.entrypoints.admin.visits import actor_of, asked_of
from parlor.entrypoints.http.answers import JSON
from parlor.entrypoints.http.health import readiness

SHOWN = 10
LIVE = (TaskStatus.RUNNING, TaskStatus.QUEUED, TaskStatus.SCHEDULED)
# Reads for everybody who looks; whoever asks must hold the permission all the same.
ONLOOKER = Actor(SYSTEM.kind, permissions=frozenset({MANAGE}))

Ids = Callable[[Actor, Mapping[str, str]], Awaitable[Sequence[UUID]]]


@dataclass(frozen=True, slots=True)
class Glance:
    """What all see alike: the numbers, how the parts are, and how long the broker says that its queues are."""

    numbers: Numbers
    status: Literal["ready", "degraded", "unready"]
    parts: Mapping[str, Part]
    queues: Mapping[str, int | None]


class OperationsPage(Page):
    """Live numbers, read once in 2 s for all pages that are open, and buttons that call use cases."""

    name = "Operations"
    icon = "fa-solid fa-gauge-high"
    permissions = (MANAGE,)

    def furnish(self) -> None:
        """Make the use cases behind the buttons, and what the numbers come from."""
        container = self.container
        self._parts = container.parts
        self._kinds = container.get(Kinds)
        self._views = container.get(OperationsViews)
        self._depths = container.get(QueueDepths)
        self._glance = Kept(self._look)
        self._task_deeds = {
            "retry": Deed("Retried", "task", container.command(RetryTask)),
            "cancel": Deed("Cancelled", "task", container.command(CancelTask)),
        }
        self._letter_deeds = {
            "replay": Deed("Replayed", "dead letter", container.command(ReplayDeadLetter)),
            "discard": Deed("Discarded", "dead letter", container.command(DiscardDeadLetter)),
        }

    # The first is where the menu leads to.
    @expose("/operations")
    async def operations(self, request: Request) -> Response:
        """Show the page; its script fetches all that is on it."""
        choices = {"statuses": LIVE, "kinds": sorted(self._kinds.handlers), "reasons": list(Reason)}
        bounds = {"most_at_once": MOST_AT_ONCE, "most_counted": MOST_COUNTED}
        return await self.render(request, "operations.html", **choices, **bounds)

    @expose("/operations/numbers")
    async def operations_numbers(self, request: Request) -> Response:
        """Answer all that the page shows, its lists as the query filters them."""
        actor = actor_of(request)
        actor.must(MANAGE)
        asked, views, most = request.query_params, self._views, SHOWN + 1
        kind, failed_kind = asked.get("kind") or None, asked.get("failed_kind") or None
        failed = await views.tasks(actor, status=TaskStatus.FAILED, kind=failed_kind, limit=most)
        live = await views.tasks(actor, status=_status(asked, TaskStatus.RUNNING), kind=kind, limit=most)
        letters = await views.letters(actor, reason=asked.get("reason") or None, limit=most)
        lists = {"failed": _cut(failed), "live": _cut(live), "letters": _cut(letters)}
        return _json({"glance": await self._glance()} | lists)

    @expose("/operations/tasks", methods=["POST"])
    async def operations_tasks(self, request: Request) -> Response:
        """Retry or cancel tasks: those that are named, or all that a filter finds."""
        return await self._do(request, self._task_deeds, self._tasks)

    @expose("/operations/letters", methods=["POST"])
    async def operations_letters(self, request: Request) -> Response:
        """Replay or discard dead letters: those that are named, or all that a filter finds."""
        return await self._do(request, self._letter_deeds, self._letters)

    async def _do(self, request: Request, deeds: Mapping[str, Deed], find: Ids) -> Response:
        form, actor = asked_of(request).form, actor_of(request)
        given = {name: values[0] for name, values in form.items()}
        deed = deeds.get(given.get("action", ""))
        if deed is None or not {"id", "all"} & given.keys():
            raise Invalid("Say what is to be done, and to what.")
        ids = await find(actor, given) if "all" in given else list(map(_id, form["id"]))
        swept = await deed.sweep(actor, ids[:MOST_AT_ONCE])
        said = deed.told(swept, more=len(ids) > MOST_AT_ONCE)
        return _json({"said": said, "done": swept.done, "refused": swept.refused.total()})

    async def _tasks(self, actor: Actor, sought: Mapping[str, str]) -> Sequence[UUID]:
        status, kind = _status(sought, TaskStatus.FAILED), sought.get("kind") or None
        lines = await self._views.tasks(actor, status=status, kind=kind, limit=MOST_AT_ONCE + 1)
        return [line.id for line in lines]

    async def _letters(self, actor: Actor, sought: Mapping[str, str]) -> Sequence[UUID]:
        reason = sought.get("reason") or None
        return [line.id for line in await self._views.letters(actor, reason=reason, limit=MOST_AT_ONCE + 1)]

    async def _look(self) -> Glance:
        depths = asyncio.gather(*map(self._depths.ready, Priority))
        numbers, parts, ready = await asyncio.gather(self._views.numbers(ONLOOKER), self._parts(), depths)
        return Glance(numbers, readiness(parts), parts, dict(zip(map(str, Priority), ready, strict=True)))


def _status(given: Mapping[str, str], otherwise: TaskStatus) -> TaskStatus:
    """Read a status that tasks are listed by. Raises Invalid."""
    status = given.get("status") or otherwise
    if status not in LISTED:
        raise Invalid("Tasks are not listed by this status.")
    return TaskStatus(status)


def _cut(lines: Sequence[object]) -> dict[str, object]:
    return {"lines": lines[:SHOWN], "more": len(lines) > SHOWN}


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("This is no id.") from None


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type=JSON)
