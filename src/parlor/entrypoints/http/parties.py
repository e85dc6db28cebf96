"""Parties: found, find, change and end them."""

import unicodedata
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.parties.access import READ, UserRequired, admit_reader, person_of
from parlor.core.parties.model import CapacityBelowMembers, RoleNeeded, Visibility
from parlor.core.parties.ports import PartySearch, PartyViews, SearchTooBroad, Sort
from parlor.core.parties.use_cases import CREATED, ChangeParty, EndParty, FoundParty
from parlor.core.shared.actor import Actor, PermissionMissing
from parlor.core.shared.errors import IdempotencyInProgress, IdempotencyKeyReused, Stale, UnknownUser
from parlor.core.shared.ids import PartyId, UserId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http import idempotency, preconditions
from parlor.entrypoints.http.answers import etag, shown, viewed
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.idempotency import REPLAYED, InvalidIdempotencyKey, once_key
from parlor.entrypoints.http.openapi import (
    PARTY_ENDER,
    PARTY_FOUNDER,
    PARTY_GUEST,
    PARTY_OFFICER,
    SIGNED_IN,
    needs,
)
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.party_schemas import Party, PartyBody, PartyChanges, PartyPage
from parlor.entrypoints.http.preconditions import InvalidIfMatch, expected_by
from parlor.entrypoints.http.routing import BASE, api_router
from parlor.entrypoints.http.schemas import OneLine

MAX_Q = 100

Words = Annotated[
    OneLine | None, Query(max_length=MAX_Q, description="Words of the name, or what is like them.")
]
Mine = Annotated[bool, Query(description="Only those in which one has a seat.")]
Whose = Annotated[UUID | None, Query(description="For services: whose parties `mine` means.")]
Seen = Annotated[Visibility | None, Query(description="Only public, or only private ones.")]
HasRoom = Annotated[bool, Query(description="Only those with a free seat.")]
Order = Annotated[Sort | None, Query(description="`best` where `q` is given, else `new`.")]

REPEATABLE = (IdempotencyKeyReused, IdempotencyInProgress, InvalidIdempotencyKey)
FOUND_EXTRA = needs(PARTY_FOUNDER, PermissionMissing, UserRequired, UnknownUser, *REPEATABLE) | {
    "parameters": [idempotency.PARAMETER]
}
SEARCH_EXTRA = needs(SIGNED_IN, InvalidCursor, PermissionMissing, UserRequired, SearchTooBroad)
CHANGE_EXTRA = needs(
    PARTY_OFFICER, PermissionMissing, RoleNeeded, Stale, InvalidIfMatch, CapacityBelowMembers
) | {"parameters": [preconditions.PARAMETER]}
END_EXTRA = needs(PARTY_ENDER, PermissionMissing, RoleNeeded, Stale, InvalidIfMatch) | {
    "parameters": [preconditions.PARAMETER]
}


def party_routes(container: Container) -> APIRouter:
    """Make the routes that find parties, found one, and read it."""
    routes = api_router("parties")
    found_party = container.command(FoundParty)
    views = container.get(PartyViews)
    cursors = {order: Cursors(f"parties:{order}", container.settings.secrets) for order in Sort}

    @routes.get("/parties", response_model=PartyPage, openapi_extra=SEARCH_EXTRA)
    async def search_parties(
        actor: CurrentActor,
        *,
        q: Words = None,
        mine: Mine = False,
        user_id: Whose = None,
        visibility: Seen = None,
        has_room: HasRoom = False,
        sort: Order = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """Find parties by their names, also misspelt; private ones are found by their members alone."""
        admit_reader(actor)
        words = unicodedata.normalize("NFC", q).strip() if q else None
        search = PartySearch(words, _whose(actor, mine=mine, named=user_id), visibility, has_room, sort)
        own = cursors[search.order]
        return own.answer(await views.search(actor, search, own.request(limit, cursor)))

    @routes.post("/parties", status_code=CREATED, response_model=Party, openapi_extra=FOUND_EXTRA)
    async def found_a_party(body: PartyBody, request: Request, actor: CurrentActor) -> Response:
        """Found a party: the founder is its owner and first member, and its chat exists at once."""
        owner = None if body.owner_id is None else UserId(body.owner_id)
        made = await found_party(actor, body.new(), owner_id=owner, once=once_key(request, actor))
        place = {"Location": f"{BASE}/parties/{made.party_id}"}
        if made.party is None:
            view = await views.one(actor, made.party_id)
            return viewed(view, status=CREATED, headers=place | REPLAYED)
        party = Party.model_validate(made.party)
        return shown(party, status=CREATED, headers={"ETag": etag(party.version), **place})

    @routes.get(
        "/parties/{party_id}", response_model=Party, openapi_extra=needs(PARTY_GUEST, PermissionMissing)
    )
    async def get_party(party_id: UUID, actor: CurrentActor) -> Response:
        """Read a party; a guest reads the one of a pending invitation, too."""
        admit_reader(actor)
        return viewed(await views.one(actor, PartyId(party_id)))

    return routes


def party_change_routes(container: Container) -> APIRouter:
    """Make the routes that change a party, and end it."""
    routes = api_router("parties")
    change_party = container.command(ChangeParty)
    end_party = container.command(EndParty)

    @routes.patch("/parties/{party_id}", response_model=Party, openapi_extra=CHANGE_EXTRA)
    async def change_a_party(
        party_id: UUID, body: PartyChanges, request: Request, actor: CurrentActor
    ) -> Response:
        """Rename a party, describe it, open or close it, or set its number of seats."""
        expected = expected_by(request)
        changed = Party.model_validate(
            await change_party(actor, PartyId(party_id), body.changes(), expected=expected)
        )
        return shown(changed, headers={"ETag": etag(changed.version)})

    @routes.delete("/parties/{party_id}", status_code=204, openapi_extra=END_EXTRA)
    async def end_a_party(party_id: UUID, request: Request, actor: CurrentActor) -> Response:
        """Delete a party; `parties:manage` deletes any."""
        await end_party(actor, PartyId(party_id), expected=expected_by(request))
        return Response(status_code=204)

    return routes


def _whose(actor: Actor, *, mine: bool, named: UUID | None) -> UserId | None:
    """Answer whose parties are asked for, if anybody's. Raises UserRequired, PermissionMissing."""
    if not mine:
        return None
    return person_of(actor, None if named is None else UserId(named), "query:user_id", permission=READ)
