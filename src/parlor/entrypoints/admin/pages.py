"""What the console's pages have in common: a permission each, and links that are paths."""

from typing import TYPE_CHECKING, Any, ClassVar

from sqladmin import BaseView
from starlette.requests import Request
from starlette.responses import Response

from parlor.entrypoints.admin.visits import may

if TYPE_CHECKING:
    from parlor.entrypoints.admin.console import Console


class Page(BaseView):
    """A page of our own: its `@expose`d methods are reached with one of its permissions only."""

    permissions: ClassVar[tuple[str, ...]]
    _admin_ref: ClassVar["Console"]

    def is_accessible(self, request: Request) -> bool:
        """Ask for one of the permissions: for the menu's line and for every route."""
        return may(request, *self.permissions)

    async def render(self, request: Request, template: str, **context: Any) -> Response:
        """Render a template of `entrypoints/admin/templates`."""
        return await self.templates.TemplateResponse(request, template, context)
