"""The console as sqladmin has it, with routes, templates and pages for errors of our own."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import structlog
from jinja2 import pass_context
from sqladmin import Admin, BaseView, ModelView
from sqladmin.templating import Jinja2Templates
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.applications import Starlette
from starlette.datastructures import URL
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from parlor.container import Container
from parlor.entrypoints.admin import cookies
from parlor.entrypoints.admin.actions import in_words
from parlor.entrypoints.admin.gate import Papers
from parlor.entrypoints.admin.listing import Listing
from parlor.entrypoints.admin.lists import Rows
from parlor.entrypoints.admin.pages import Page
from parlor.entrypoints.admin.signing_in import Doors
from parlor.entrypoints.admin.visits import Tone, asked_of, csrf_field, may
from parlor.entrypoints.http.call import call_of
from parlor.entrypoints.http.errors import InternalError, headers_of, known_error, status_of, title_of

HERE = Path(__file__).parent

log = structlog.stdlib.get_logger("parlor.console")


class RowSource(Protocol):
    """What rows are read from: a maker of sessions for sqladmin, and our way to one, with errors of ours."""

    @property
    def sessions(self) -> async_sessionmaker[AsyncSession]: ...

    def session(self) -> AbstractAsyncContextManager[AsyncSession]: ...


class Console(Admin):
    """sqladmin's menu, lists and details. Its own forms, exports, deletions and actions have no route here."""

    def __init__(self, container: Container, papers: Papers, room: RowSource) -> None:
        super().__init__(
            Starlette(),  # it would mount itself; we do that, behind the gate
            session_maker=room.sessions,
            base_url=cookies.PATH,
            title="Parlor",
            favicon_url=f"{cookies.PATH}/statics/icon.svg",
            templates_dir=str(HERE / "templates"),
        )
        self.container = container
        self._reading = room.session
        statics = StaticFiles(directory=HERE / "static", packages=["sqladmin"])
        self.admin.router.routes = [
            Mount("/statics", app=statics, name="statics"),
            Route("/", self.index, name="index"),
            *Doors(container, papers, self.templates).routes,
        ]

    def add_lists(self, lists: Sequence[type[Rows]]) -> None:
        """Add tables' pages, in the menu's order, and their routes."""
        for one in lists:
            self.add_view(one)
        views = [view for view in self.views if isinstance(view, Rows)]
        for view in views:
            view.furnish(self.container, self._reading)
        self.admin.router.routes += Listing(views, self.templates).routes

    def init_templating_engine(self) -> Jinja2Templates:
        """Let templates write paths, the token of a form, and what they were told to say."""
        templates = super().init_templating_engine()
        templates.env.globals.update(
            url_for=_path_for, csrf_field=csrf_field, asked_of=asked_of, may=may, Tone=Tone
        )
        templates.env.globals["path_of"] = lambda url: URL(str(url)).path
        return templates

    async def index(self, request: Request) -> Response:
        """Show what there is."""
        views = [view for view in self.views if view.is_accessible(request)]
        numbers = {view.identity: await view.number() for view in views if isinstance(view, Rows)}
        context = {"views": views, "numbers": numbers}
        return await self.templates.TemplateResponse(request, "sqladmin/index.html", context)

    async def show_error(self, request: Request, error: Exception) -> Response:
        """Turn whatever went wrong into a page; a mistake of ours is logged, and shows its request's id only."""
        if isinstance(error, ClientDisconnect):
            raise error
        call = call_of(request.scope)
        known = known_error(error)
        if isinstance(known, InternalError):
            log.error("unexpected_error", exc_info=error, error=type(error).__name__)
        call.code = known.code
        status = status_of(type(known))
        context = {
            "status": status,
            "heading": title_of(known.code),
            "detail": in_words(known),
            "request_id": call.request_id,
        }
        answer = await self.templates.TemplateResponse(request, "sqladmin/error.html", context, status)
        answer.headers.update(_without_challenge(headers_of(known) or {}))
        return answer

    def add_page(self, page: type[BaseView | ModelView]) -> None:
        """Add a page and its line in the menu, behind those that are there."""
        self.add_view(page)
        added = self.views[-1]
        if isinstance(added, Page):
            added.furnish()


def _without_challenge(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave out what asks a browser for a token: here one signs in by the form."""
    return {name: value for name, value in headers.items() if name != "WWW-Authenticate"}


@pass_context
def _path_for(context: Mapping[str, Any], name: str, /, **params: Any) -> str:
    request: Request = context["request"]
    return request.url_for(name, **params).path
