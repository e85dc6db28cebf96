"""Invitations to parties: send, list, answer, take back."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.parties.access import READ, UserRequired, admit_reader, person_of
from parlor.core.parties.invitations import (
    CREATED,
    AcceptInvitation,
    DeclineInvitation,
    InviteGuest,
    RevokeInvitation,
)
from parlor.core.parties.model import (
    AlreadyMember,
    Banned,
    InvitationEnded,
    InvitationExpired,
    InvitationStatus,
    NotYourInvitation,
    PartyFull,
    RoleNeeded,
)
from parlor.core.parties.ports import InvitationViews, PartyViews
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import IdempotencyInProgress, IdempotencyKeyReused, UnknownUser
from parlor.core.shared.ids import InvitationId, PartyId, UserId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http import idempotency
from parlor.entrypoints.http.answers import JSON
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.idempotency import REPLAYED, InvalidIdempotencyKey, once_key
from parlor.entrypoints.http.openapi import GUEST, INVITED, INVITER, PARTY_OFFICER, needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.party_schemas import Invitation, InvitationPage, Member, SomeUser
from parlor.entrypoints.http.routing import api_router

Status = Annotated[InvitationStatus | None, Query(description="Only those of which this became.")]
Whose = Annotated[UUID | None, Query(description="For services: whose invitations.")]

REPEATABLE = (IdempotencyKeyReused, IdempotencyInProgress, InvalidIdempotencyKey)
INVITE_EXTRA = needs(
    PARTY_OFFICER, PermissionMissing, RoleNeeded, UnknownUser, Banned, AlreadyMember, *REPEATABLE
) | {"parameters": [idempotency.PARAMETER]}
LIST_EXTRA = needs(INVITED, PermissionMissing, UserRequired, InvalidCursor)
ANSWERED = (PermissionMissing, NotYourInvitation, InvitationEnded, InvitationExpired)


def invitation_routes(container: Container) -> APIRouter:
    """Make the routes of who invites, and of whoever looks what came."""
    routes = api_router("invitations")
    invite_guest = container.command(InviteGuest)
    revoke_invitation = container.command(RevokeInvitation)
    views = container.get(InvitationViews)
    cursors = Cursors("invitations", container.settings.secrets)

    @routes.post(
        "/parties/{party_id}/invitations",
        status_code=CREATED,
        response_model=Invitation,
        openapi_extra=INVITE_EXTRA,
        responses={200: {"model": Invitation, "description": "The pending one that the guest has."}},
    )
    async def invite_to_party(
        party_id: UUID, body: SomeUser, request: Request, actor: CurrentActor
    ) -> Response:
        """Invite somebody; whoever has a pending invitation keeps that one."""
        once = once_key(request, actor)
        sent = await invite_guest(actor, PartyId(party_id), UserId(body.user_id), once=once)
        view = await views.one(actor, sent.invitation_id)
        replayed = REPLAYED if sent.replayed else None
        return Response(view, status_code=sent.status, headers=replayed, media_type=JSON)

    @routes.get("/invitations", response_model=InvitationPage, openapi_extra=LIST_EXTRA)
    async def list_invitations(
        actor: CurrentActor,
        status: Status = None,
        user_id: Whose = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """List to which parties one was invited, newest first."""
        admit_reader(actor)
        named = None if user_id is None else UserId(user_id)
        guest = person_of(actor, named, "query:user_id", permission=READ)
        return cursors.answer(await views.page(guest, cursors.request(limit, cursor), status=status))

    @routes.delete(
        "/invitations/{invitation_id}",
        status_code=204,
        openapi_extra=needs(INVITER, PermissionMissing, RoleNeeded, InvitationEnded),
    )
    async def take_invitation_back(invitation_id: UUID, actor: CurrentActor) -> Response:
        """Take an invitation back; whoever sent it may, too."""
        await revoke_invitation(actor, InvitationId(invitation_id))
        return Response(status_code=204)

    return routes


def guest_routes(container: Container) -> APIRouter:
    """Make the routes by which a guest answers."""
    routes = api_router("invitations")
    accept_invitation = container.command(AcceptInvitation)
    decline_invitation = container.command(DeclineInvitation)
    parties = container.get(PartyViews)

    @routes.post(
        "/invitations/{invitation_id}/accept",
        response_model=Member,
        openapi_extra=needs(GUEST, *ANSWERED, PartyFull),
    )
    async def accept_an_invitation(invitation_id: UUID, actor: CurrentActor) -> Response:
        """Take the seat that one was offered."""
        seat = await accept_invitation(actor, InvitationId(invitation_id))
        return Response(await parties.member(seat.party_id, seat.user_id), media_type=JSON)

    @routes.post(
        "/invitations/{invitation_id}/decline", status_code=204, openapi_extra=needs(GUEST, *ANSWERED)
    )
    async def decline_an_invitation(invitation_id: UUID, actor: CurrentActor) -> Response:
        """Say no, thank you."""
        await decline_invitation(actor, InvitationId(invitation_id))
        return Response(status_code=204)

    return routes
