"""What the console's pages have in common: a permission each, and links that are paths."""

from typing import Any, ClassVar, cast

from sqladmin import BaseView
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.entrypoints.admin.visits import may


class Page(BaseView):
    """A page of our own: its `@expose`d methods are reached with one of its permissions only."""

    permissions: ClassVar[tuple[str, ...]]

    def furnish(self) -> None:
        """Take what the process has: use cases and ports are made here, once."""

    def is_accessible(self, request: Request) -> bool:
        """Ask for one of the permissions: for the menu's line and for every route."""
        return may(request, *self.permissions)

    @property
    def container(self) -> Container:
        """Answer what use cases and ports come from: once, when the page is made."""
        return cast("Container", self._admin_ref.container)  # type: ignore[attr-defined]  # our own Console

    async def render(self, request: Request, template: str, **context: Any) -> Response:
        """Render a template of `entrypoints/admin/templates`."""
        return await self.templates.TemplateResponse(request, template, context)
