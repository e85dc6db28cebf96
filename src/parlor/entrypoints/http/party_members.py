"""Seats in parties: join, leave, list, promote, kick, hand over, ban."""

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from parlor.container import Container
from parlor.core.parties.access import UserRequired, admit_reader
from parlor.core.parties.bans import BanUser, LiftBan
from parlor.core.parties.membership import ChangeRole, HandOver, JoinParty, KickMember, LeaveParty
from parlor.core.parties.model import (
    Banned,
    NotAMember,
    PartyFull,
    PartyOwner,
    Role,
    RoleNeeded,
)
from parlor.core.parties.ports import PartyViews
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import UnknownUser
from parlor.core.shared.ids import PartyId, UserId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http.answers import JSON, etag, shown
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.openapi import (
    PARTY_JOINER,
    PARTY_MEMBER,
    PARTY_OFFICER,
    PARTY_OWNER,
    PARTY_VIEWER,
    needs,
)
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.party_schemas import (
    Member,
    MemberPage,
    Party,
    RoleChange,
    SomeUser,
    WhoseSeat,
    user_of,
)
from parlor.entrypoints.http.routing import api_router

JOIN_EXTRA = needs(PARTY_JOINER, PermissionMissing, UserRequired, UnknownUser, Banned, PartyFull)
LEAVE_EXTRA = needs(PARTY_MEMBER, PermissionMissing, UserRequired, NotAMember)
LIST_EXTRA = needs(PARTY_VIEWER, PermissionMissing, InvalidCursor)
ROLE_EXTRA = needs(PARTY_OWNER, PermissionMissing, RoleNeeded, PartyOwner)
OWNER_EXTRA = needs(PARTY_OWNER, PermissionMissing, RoleNeeded, UnknownUser, NotAMember)
KICK_EXTRA = needs(PARTY_OFFICER, PermissionMissing, RoleNeeded, PartyOwner)
LIFT_EXTRA = needs(PARTY_OFFICER, PermissionMissing, RoleNeeded)


def party_member_routes(container: Container) -> APIRouter:
    """Make the routes of seats and of bans."""
    routes = api_router("parties")
    views = container.get(PartyViews)
    _add_seats(routes, container, views)
    _add_roles(routes, container, views)
    _add_bans(routes, container)
    return routes


def _add_seats(routes: APIRouter, container: Container, views: PartyViews) -> None:
    join_party = container.command(JoinParty)
    leave_party = container.command(LeaveParty)
    kick_member = container.command(KickMember)
    cursors = Cursors("members", container.settings.secrets)

    @routes.post("/parties/{party_id}/join", response_model=Member, openapi_extra=JOIN_EXTRA)
    async def join_a_party(party_id: UUID, actor: CurrentActor, body: WhoseSeat | None = None) -> Response:
        """Take a seat, by a pending invitation too; to join twice is to be a member once."""
        seat = await join_party(actor, PartyId(party_id), user_id=user_of(body))
        return Response(await views.member(seat.party_id, seat.user_id), media_type=JSON)

    @routes.post("/parties/{party_id}/leave", status_code=204, openapi_extra=LEAVE_EXTRA)
    async def leave_a_party(party_id: UUID, actor: CurrentActor, body: WhoseSeat | None = None) -> Response:
        """Give the seat back; an owner's party goes to the next member, and ends with the last one."""
        await leave_party(actor, PartyId(party_id), user_id=user_of(body))
        return Response(status_code=204)

    @routes.get("/parties/{party_id}/members", response_model=MemberPage, openapi_extra=LIST_EXTRA)
    async def list_party_members(
        party_id: UUID, actor: CurrentActor, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List the members, the longest-serving first."""
        admit_reader(actor)
        own = cursors.of(party_id)
        page = await views.members(actor, PartyId(party_id), own.request(limit, cursor))
        return own.answer(page)

    @routes.delete("/parties/{party_id}/members/{user_id}", status_code=204, openapi_extra=KICK_EXTRA)
    async def kick_from_party(party_id: UUID, user_id: UUID, actor: CurrentActor) -> Response:
        """Free somebody else's seat; officers free those of plain members."""
        await kick_member(actor, PartyId(party_id), UserId(user_id))
        return Response(status_code=204)


def _add_roles(routes: APIRouter, container: Container, views: PartyViews) -> None:
    change_role = container.command(ChangeRole)
    hand_over = container.command(HandOver)

    @routes.patch("/parties/{party_id}/members/{user_id}", response_model=Member, openapi_extra=ROLE_EXTRA)
    async def change_party_member(
        party_id: UUID, user_id: UUID, body: RoleChange, actor: CurrentActor
    ) -> Response:
        """Make a member an officer, or an officer a member."""
        await change_role(actor, PartyId(party_id), UserId(user_id), Role(body.role))
        return Response(await views.member(PartyId(party_id), UserId(user_id)), media_type=JSON)

    @routes.post("/parties/{party_id}/owner", response_model=Party, openapi_extra=OWNER_EXTRA)
    async def hand_party_over(party_id: UUID, body: SomeUser, actor: CurrentActor) -> Response:
        """Make another member the owner; the former one is an officer."""
        party = Party.model_validate(await hand_over(actor, PartyId(party_id), UserId(body.user_id)))
        return shown(party, headers={"ETag": etag(party.version)})


def _add_bans(routes: APIRouter, container: Container) -> None:
    ban_user = container.command(BanUser)
    lift_ban = container.command(LiftBan)

    @routes.put("/parties/{party_id}/bans/{user_id}", status_code=204, openapi_extra=KICK_EXTRA)
    async def ban_from_party(party_id: UUID, user_id: UUID, actor: CurrentActor) -> Response:
        """Keep somebody out; seat and pending invitation are gone at once."""
        await ban_user(actor, PartyId(party_id), UserId(user_id))
        return Response(status_code=204)

    @routes.delete("/parties/{party_id}/bans/{user_id}", status_code=204, openapi_extra=LIFT_EXTRA)
    async def lift_party_ban(party_id: UUID, user_id: UUID, actor: CurrentActor) -> Response:
        """Let somebody come again."""
        await lift_ban(actor, PartyId(party_id), UserId(user_id))
        return Response(status_code=204)
