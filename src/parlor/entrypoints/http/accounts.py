"""One's own account: profile, password, e-mail address, a copy of everything, and its end."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from parlor.container import Container
from parlor.core.identity.accounts import AskForVerification, ChangeProfile, ConfirmEmail
from parlor.core.identity.deletion import DeleteAccount
from parlor.core.identity.export import AccountExport
from parlor.core.identity.mail_tokens import InvalidMailToken
from parlor.core.identity.model import PASSWORD_LENGTH
from parlor.core.identity.passwords import AskForReset, ChangePassword, ConfirmReset, WrongPassword
from parlor.core.identity.roles import LastAdmin
from parlor.core.identity.throttling import RESET_BY_ADDRESS
from parlor.core.shared.errors import Busy, Stale, TooMany
from parlor.entrypoints.http import preconditions
from parlor.entrypoints.http.answers import JSON, etag, shown
from parlor.entrypoints.http.auth import CurrentPrincipal
from parlor.entrypoints.http.identity import MAX_TOKEN, DisplayName, Email, Password, User, client_of
from parlor.entrypoints.http.limits import per_address
from parlor.entrypoints.http.openapi import OWN, PUBLIC, needs
from parlor.entrypoints.http.preconditions import InvalidIfMatch, expected_by
from parlor.entrypoints.http.registration import Accepted
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.schemas import Body, OneLine

PRESENT = Field(min_length=1, max_length=PASSWORD_LENGTH[1])
CONDITIONAL = {"parameters": [preconditions.PARAMETER]}
CHANGE_EXTRA = needs(OWN, Stale, InvalidIfMatch) | CONDITIONAL
DELETE_EXTRA = needs(OWN, WrongPassword, LastAdmin, TooMany, Busy, Stale, InvalidIfMatch) | CONDITIONAL

MailedToken = Annotated[OneLine, Field(min_length=1, max_length=MAX_TOKEN)]


class ProfileChanges(Body):
    """What is to become different; what is not sent stays."""

    display_name: Annotated[DisplayName, Field(default_factory=str)]


class PasswordChange(Body):
    """The password that counts until now, and the one that counts from now on."""

    current_password: Annotated[OneLine, PRESENT]
    new_password: Password


class ResetRequest(Body):
    """Whose password is forgotten."""

    email: Email


class ResetConfirmation(Body):
    """The token from the mail, and the password that counts from now on."""

    token: MailedToken
    new_password: Password


class EmailConfirmation(Body):
    """The token from the mail."""

    token: MailedToken


class Deletion(Body):
    """The account's password: a deleted account does not come back."""

    password: Annotated[OneLine, PRESENT]


def account_routes(container: Container) -> APIRouter:
    """Make the routes."""
    routes = api_router("identity")
    _add_profile(routes, container)
    _add_passwords(routes, container)
    _add_verification(routes, container)
    return routes


def _add_profile(routes: APIRouter, container: Container) -> None:
    change_profile = container.command(ChangeProfile)
    delete_account = container.command(DeleteAccount)
    export = container.get(AccountExport)

    @routes.patch("/users/me", response_model=User, openapi_extra=CHANGE_EXTRA)
    async def change_me(body: ProfileChanges, request: Request, principal: CurrentPrincipal) -> Response:
        """Change what others see of one."""
        name = body.display_name if "display_name" in body.model_fields_set else None
        user = await change_profile(principal, display_name=name, expected=expected_by(request))
        return shown(User.model_validate(user), headers={"ETag": etag(user.version)})

    @routes.delete("/users/me", status_code=204, openapi_extra=DELETE_EXTRA)
    async def delete_me(body: Deletion, request: Request, principal: CurrentPrincipal) -> Response:
        """End the account for good: the address is free at once, and what others still see has no name."""
        await delete_account(
            principal, password=body.password, client=client_of(request), expected=expected_by(request)
        )
        return Response(status_code=204)

    @routes.get("/users/me/export", response_model=dict, openapi_extra=needs(OWN))
    async def export_me(principal: CurrentPrincipal) -> Response:
        """Get a copy of everything that is kept about one, in one JSON object."""
        named = {"Content-Disposition": 'attachment; filename="parlor-export.json"'}
        return StreamingResponse(await _begun(export(principal.user.id)), headers=named, media_type=JSON)


def _add_passwords(routes: APIRouter, container: Container) -> None:
    change_password = container.command(ChangePassword)
    ask_for_reset = container.command(AskForReset)
    confirm_reset = container.command(ConfirmReset)

    @routes.post(
        "/users/me/password", status_code=204, openapi_extra=needs(OWN, WrongPassword, TooMany, Busy)
    )
    async def change_my_password(
        body: PasswordChange, request: Request, principal: CurrentPrincipal
    ) -> Response:
        """Take another password: other sessions end; this one's access token may be refused once."""
        await change_password(
            principal,
            current_password=body.current_password,
            new_password=body.new_password,
            client=client_of(request),
        )
        return Response(status_code=204)

    @routes.post(
        "/auth/password-reset",
        status_code=202,
        response_model=Accepted,
        openapi_extra=needs(PUBLIC, TooMany),
        dependencies=[per_address(RESET_BY_ADDRESS)],
    )
    async def reset_password(body: ResetRequest) -> Response:
        """Have a token mailed to the account's owner; the answer is the same where there is no account."""
        await ask_for_reset(email=body.email)
        return shown(Accepted(), status=202)

    @routes.post(
        "/auth/password-reset/confirm",
        status_code=204,
        openapi_extra=needs(PUBLIC, InvalidMailToken, Busy),
    )
    async def confirm_password_reset(body: ResetConfirmation, request: Request) -> Response:
        """Take another password with the token from the mail, which counts once; every session ends."""
        await confirm_reset(token=body.token, new_password=body.new_password, client=client_of(request))
        return Response(status_code=204)


def _add_verification(routes: APIRouter, container: Container) -> None:
    ask_for_verification = container.command(AskForVerification)
    confirm = container.command(ConfirmEmail)

    @routes.post(
        "/auth/email-verification",
        status_code=202,
        response_model=Accepted,
        openapi_extra=needs(OWN, TooMany),
    )
    async def verify_email(principal: CurrentPrincipal) -> Response:
        """Have a token mailed to one's address, unless it is verified already."""
        await ask_for_verification(principal)
        return shown(Accepted(), status=202)

    @routes.post(
        "/auth/email-verification/confirm", status_code=204, openapi_extra=needs(PUBLIC, InvalidMailToken)
    )
    async def confirm_email(body: EmailConfirmation) -> Response:
        """Prove with the token from the mail, which counts once, that the address is its user's."""
        await confirm(token=body.token)
        return Response(status_code=204)


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Read the first section before the answer begins: a database that is away is a problem, not a broken file."""
    first = [await anext(pieces), await anext(pieces)]

    async def rest() -> AsyncIterator[bytes]:
        for piece in first:
            yield piece
        async for piece in pieces:
            yield piece

    return rest()
