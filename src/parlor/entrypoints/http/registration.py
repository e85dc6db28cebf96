"""Registering: answered with the account, or, where accounts are hidden, with the same words for every address."""

from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from parlor.container import Container
from parlor.core.identity.accounts import RegisterUnseen
from parlor.core.identity.model import EmailTaken
from parlor.core.identity.throttling import REGISTER_BY_ADDRESS
from parlor.core.identity.use_cases import Register
from parlor.core.shared.errors import Busy
from parlor.entrypoints.http.answers import etag, shown
from parlor.entrypoints.http.identity import DisplayName, Email, Password, User
from parlor.entrypoints.http.limits import per_address
from parlor.entrypoints.http.openapi import PUBLIC, needs
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.schemas import Body, Shown


class Registration(Body):
    """A new account; without a name it gets the first part of the address."""

    email: Email
    password: Password
    display_name: DisplayName | None = None


class Accepted(Shown):
    """It was taken in. What follows comes by mail; that, and nothing else, says whether there was an account."""

    status: Literal["accepted"] = "accepted"


def registration_routes(container: Container) -> APIRouter:
    """Make the one route, in the way that the settings want."""
    routes = api_router("identity")
    if container.settings.hide_accounts:
        _add_hidden(routes, container)
    else:
        _add_open(routes, container)
    return routes


def _add_open(routes: APIRouter, container: Container) -> None:
    register_user = container.command(Register)

    @routes.post(
        "/auth/register",
        status_code=201,
        response_model=User,
        openapi_extra=needs(PUBLIC, EmailTaken, Busy),
        dependencies=[per_address(REGISTER_BY_ADDRESS)],
    )
    async def register(body: Registration) -> Response:
        """Make an account with the role `user`."""
        user = await register_user(email=body.email, password=body.password, display_name=body.display_name)
        return shown(User.model_validate(user), status=201, headers={"ETag": etag(user.version)})


def _add_hidden(routes: APIRouter, container: Container) -> None:
    register_user = container.command(RegisterUnseen)

    @routes.post(
        "/auth/register",
        status_code=202,
        response_model=Accepted,
        openapi_extra=needs(PUBLIC, Busy),
        dependencies=[per_address(REGISTER_BY_ADDRESS)],
    )
    async def register(body: Registration) -> Response:
        """Make an account with the role `user`; where there is one already, its owner gets a mail instead."""
        await register_user(email=body.email, password=body.password, display_name=body.display_name)
        return shown(Accepted(), status=202)
