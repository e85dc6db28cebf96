"""From a row to the page of another one."""

from typing import Any

from markupsafe import Markup
from sqladmin import ModelView
from sqladmin.application import BaseAdmin
from sqlalchemy import inspect
from starlette.requests import Request

from parlor.entrypoints.admin import cookies
from parlor.entrypoints.admin.cells import link, shown
from parlor.entrypoints.admin.rows import Row


def linked(admin: BaseAdmin, request: Request, row: Row, *, whole: bool) -> Markup:
    """Name a row and lead to its page; to whoever may not see that, tell its id only."""
    (key,) = inspect(row).identity or (None,)
    for view in admin.views:
        if isinstance(view, ModelView) and view.model is type(row) and view.is_accessible(request):
            return link(path_to(view, key), row)
    return shown(key, "id", whole=whole)


def path_to(view: Any, key: object) -> str:
    """Write the path of a row's page."""
    return f"{cookies.PATH}/{view.identity}/details/{key}"
