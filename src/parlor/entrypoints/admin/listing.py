"""The routes of every list: its pages, one row's page, and what is done to rows."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from sqladmin.templating import Jinja2Templates
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import Invalid, NotFound
from parlor.entrypoints.admin.actions import MOST_AT_ONCE, Action, Doer, done_to
from parlor.entrypoints.admin.lists import OTHER_WAY_ROUND, Rows
from parlor.entrypoints.admin.related import MOST
from parlor.entrypoints.admin.signing_in import inside
from parlor.entrypoints.admin.visits import Tone, asked_of, principal_of
from parlor.entrypoints.http.call import TEMPLATE


class Listing:
    """Shows lists and rows, and does what is asked about them."""

    def __init__(self, lists: Sequence[Rows], templates: Jinja2Templates) -> None:
        self._lists = {one.identity: one for one in lists}
        self._templates = templates

    @property
    def routes(self) -> list[Route]:
        """List the routes."""
        return [
            Route("/{identity}/list", self.list, name="list"),
            Route("/{identity}/details/{pk:path}", self.details, name="details"),
            Route("/{identity}/act", self.act, methods=["POST"], name="act"),
        ]

    async def list(self, request: Request) -> Response:
        """Show a page of rows."""
        view = self._view(request)
        turn = await view.turn(request)
        context = {
            "view": view,
            "turn": turn,
            "number": await view.number(),
            "narrowed": _narrowed(view, request),
            "older": _turned(request, after=turn.older),
            "newer": _turned(request, before=turn.newer),
            "ascends": view.ascends(request),
            "reordered": _reordered(request),
        }
        return await self._templates.TemplateResponse(request, "sqladmin/list.html", context)

    async def details(self, request: Request) -> Response:
        """Show all that is known of one row, and what belongs to it."""
        view = self._view(request)
        row = await view.one(request.path_params["pk"])
        belonging = []
        for related in view.related:
            async with view.reading() as session:
                found = (await session.scalars(related.of(view.key_of(row)))).all()
            belonging.append((related, found[:MOST], len(found) > MOST))
        context = {"view": view, "row": row, "belonging": belonging}
        return await self._templates.TemplateResponse(request, "sqladmin/details.html", context)

    async def act(self, request: Request) -> Response:
        """Do something to the rows that were chosen, after a question where the action has one."""
        view, asked = self._view(request), asked_of(request)
        back = inside(asked.value("back"))
        action = self._action(view, request)
        keys = list(dict.fromkeys(asked.form.get("id", ())))
        if len(keys) > MOST_AT_ONCE:
            raise Invalid(f"At most {MOST_AT_ONCE} at once.")
        rows = await view.some(keys)
        if not rows:
            asked.tell(
                Tone.REFUSED,
                "Nothing was done: no row was chosen." if not keys else "They are no longer there.",
            )
            return RedirectResponse(back, status_code=303)
        if action.question and not asked.value("sure"):
            return await self._question(request, view, action, rows, back)
        doer = Doer(principal_of(request), asked.client, asked.value("chosen").strip())
        done, refused = (await done_to(action, doer, rows)).sentences(action, view.name_plural)
        if done:
            asked.tell(Tone.DONE, done)
        if (gone := len(keys) - len(rows)) > 0:
            asked.tell(Tone.REFUSED, f"{gone} of them {'is' if gone == 1 else 'are'} no longer there.")
        for sentence in refused:
            asked.tell(Tone.REFUSED, sentence)
        return RedirectResponse(back, status_code=303)

    async def _question(
        self, request: Request, view: Rows, action: Action, rows: Sequence[Any], back: str
    ) -> Response:
        context = {
            "view": view,
            "action": action,
            "rows": rows,
            "back": back,
            "choices": await view.choices(action),
        }
        return await self._templates.TemplateResponse(request, "sqladmin/question.html", context)

    def _view(self, request: Request) -> Rows:
        view = self._lists.get(request.path_params["identity"])
        if view is None:
            raise NotFound
        if not view.is_accessible(request):
            raise PermissionMissing(f"This needs the permission {' or '.join(view.permissions)}.")
        request.scope[TEMPLATE] = request.scope["route"].path_format.replace("{identity}", str(view.identity))
        return view

    def _action(self, view: Rows, request: Request) -> Action:
        action = view.acts.get(asked_of(request).value("action"))
        if action is None:
            raise NotFound
        principal_of(request).actor.must(action.permission)
        return action


def _narrowed(view: Rows, request: Request) -> bool:
    return any(request.query_params.get(name) for name in ("search", *(one.name for one in view.filters)))


def _reordered(request: Request) -> str:
    """Write the address of the same list from its other end."""
    asked = request.query_params
    kept = {name: text for name, text in asked.items() if name not in {"after", "before", "order"} and text}
    return "?" + urlencode(kept if asked.get("order") else {**kept, "order": OTHER_WAY_ROUND})


def _turned(request: Request, **place: str | None) -> str | None:
    """Write the address of a neighbouring page of the same list."""
    (value,) = place.values()
    if value is None:
        return None
    kept = {
        name: text for name, text in request.query_params.items() if name not in {"after", "before"} and text
    }
    return "?" + urlencode({**kept, **place})
