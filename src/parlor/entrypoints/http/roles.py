"""Roles: what they permit, and who holds them."""

import re
from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.identity.administration import AddRole, ChangeRole, GrantRole, RemoveRole, TakeRole
from parlor.core.identity.model import AccountDeleted
from parlor.core.identity.roles import (
    MANAGE_ROLES,
    MAX_DESCRIPTION,
    MAX_PERMISSION,
    MAX_PERMISSIONS,
    NAME,
    BuiltinRole,
    InvalidPermission,
    LastAdmin,
    PermissionNotHeld,
    RoleExists,
    RoleInUse,
    RoleViews,
    TooManyRoles,
    UnknownPermission,
)
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound, Stale
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http import preconditions
from parlor.entrypoints.http.answer_headers import PLACED
from parlor.entrypoints.http.answers import JSON, shown
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.openapi import needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.preconditions import InvalidIfMatch, expected_by
from parlor.entrypoints.http.routing import BASE, api_router
from parlor.entrypoints.http.schemas import Body, OneLine, Shown, SortedWords, refused
from parlor.entrypoints.http.users import AnyUserId, user_id_for

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _lines(text: str) -> str:
    if _CONTROL.search(text):
        raise refused("control_character")
    return text


Name = Annotated[OneLine, Field(pattern=f"^{NAME}$", examples=["moderator"])]
Description = Annotated[str, AfterValidator(_lines), Field(max_length=MAX_DESCRIPTION)]
Permission = Annotated[OneLine, Field(max_length=MAX_PERMISSION, examples=["films:watch"])]
PermissionList = Annotated[
    list[Permission],
    Field(
        default_factory=list,
        max_length=MAX_PERMISSIONS,
        description="Parlor's own, or any other `word:word`, for other services.",
    ),
]


class RoleBody(Body):
    """A new role."""

    name: Name
    description: Description = ""
    permissions: PermissionList


class RoleChanges(Body):
    """What is to become different; what is not sent stays. Permissions replace all of them."""

    description: Annotated[Description, Field(default_factory=str)]
    permissions: PermissionList


class Role(Shown):
    """Permissions that users hold together."""

    name: str
    description: str
    permissions: SortedWords


class RolePage(Shown):
    """Roles, by name."""

    items: list[Role]
    next_cursor: str | None


PERMISSIONS = (InvalidPermission, UnknownPermission)
UNDER_A_TAG = (Stale, InvalidIfMatch)
CONDITIONAL = {"parameters": [preconditions.PARAMETER]}


def role_routes(container: Container) -> APIRouter:
    """Make the routes of roles."""
    routes = api_router("roles")
    add_role = container.command(AddRole)
    change_role = container.command(ChangeRole)
    remove_role = container.command(RemoveRole)
    views = container.get(RoleViews)
    cursors = Cursors("roles", container.settings.secrets)

    @routes.get("/roles", response_model=RolePage, openapi_extra=needs(MANAGE_ROLES, InvalidCursor))
    async def list_roles(
        actor: CurrentActor, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List all roles, by name."""
        actor.must(MANAGE_ROLES)
        return cursors.answer(await views.page(cursors.request(limit, cursor)))

    @routes.post(
        "/roles",
        status_code=201,
        response_model=Role,
        responses={201: PLACED},
        openapi_extra=needs(MANAGE_ROLES, RoleExists, TooManyRoles, *PERMISSIONS),
    )
    async def post_role(body: RoleBody, actor: CurrentActor) -> Response:
        """Make a role; nobody holds it yet."""
        role = await add_role(
            actor, name=body.name, description=body.description, permissions=body.permissions
        )
        place = {"Location": f"{BASE}/roles/{role.name}"}
        return shown(Role.model_validate(role), status=201, headers=place)

    @routes.get("/roles/{name}", response_model=Role, openapi_extra=needs(MANAGE_ROLES))
    async def get_role(name: str, actor: CurrentActor) -> Response:
        """Read a role."""
        return Response(await views.one(_name_for(actor, name)), media_type=JSON)

    @routes.patch(
        "/roles/{name}",
        response_model=Role,
        openapi_extra=needs(MANAGE_ROLES, BuiltinRole, LastAdmin, PermissionNotHeld, *PERMISSIONS),
    )
    async def patch_role(name: str, body: RoleChanges, actor: CurrentActor) -> Response:
        """Change a role for all who hold it; what it permits in addition, one must hold."""
        changes = {"description": None, "permissions": None} | body.model_dump(exclude_unset=True)
        role = await change_role(actor, _name_for(actor, name), **changes)
        return shown(Role.model_validate(role))

    @routes.delete(
        "/roles/{name}", status_code=204, openapi_extra=needs(MANAGE_ROLES, BuiltinRole, LastAdmin, RoleInUse)
    )
    async def delete_role(name: str, actor: CurrentActor) -> Response:
        """Take a role from all who hold it (1,000 at most), and delete it."""
        await remove_role(actor, _name_for(actor, name))
        return Response(status_code=204)

    _add_holding(routes, container)
    return routes


def _add_holding(routes: APIRouter, container: Container) -> None:
    grant_role = container.command(GrantRole)
    take_role = container.command(TakeRole)

    @routes.put(
        "/users/{user_id}/roles/{name}",
        status_code=204,
        openapi_extra=needs(MANAGE_ROLES, PermissionNotHeld, TooManyRoles, AccountDeleted, *UNDER_A_TAG)
        | CONDITIONAL,
    )
    async def grant(user_id: AnyUserId, name: str, request: Request, actor: CurrentActor) -> Response:
        """Give a user a role whose permissions one holds; the tag is the user's."""
        known, expected = user_id_for(actor, MANAGE_ROLES, user_id), expected_by(request)
        await grant_role(actor, known, _name_for(actor, name), expected=expected)
        return Response(status_code=204)

    @routes.delete(
        "/users/{user_id}/roles/{name}",
        status_code=204,
        openapi_extra=needs(MANAGE_ROLES, LastAdmin, *UNDER_A_TAG) | CONDITIONAL,
    )
    async def take(user_id: AnyUserId, name: str, request: Request, actor: CurrentActor) -> Response:
        """Take a role from a user; the tag is the user's."""
        known, expected = user_id_for(actor, MANAGE_ROLES, user_id), expected_by(request)
        await take_role(actor, known, _name_for(actor, name), expected=expected)
        return Response(status_code=204)


def _name_for(actor: Actor, name: str) -> str:
    """Read a name; raises PermissionMissing, and NotFound for what can be no role's."""
    actor.must(MANAGE_ROLES)
    if not re.fullmatch(NAME, name):
        raise NotFound
    return name
