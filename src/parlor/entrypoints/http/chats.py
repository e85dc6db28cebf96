"""Chats: open them, see them, and who is in them."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.chats.members import AddMember, RemoveMember
from parlor.core.chats.model import (
    ChatFull,
    DirectChat,
    InvalidMembers,
    NotChatOwner,
    PartyChat,
)
from parlor.core.chats.reading import ChatViews
from parlor.core.chats.use_cases import CREATED, DeleteChat, OpenChat, RenameChat
from parlor.core.shared.errors import IdempotencyInProgress, IdempotencyKeyReused, Stale, UnknownUser
from parlor.core.shared.ids import ChatId, UserId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http import idempotency, preconditions
from parlor.entrypoints.http.answers import JSON, viewed
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.chat_schemas import (
    Chat,
    ChatBody,
    ChatChanges,
    ChatMember,
    ChatMemberPage,
    ChatPage,
    MemberBody,
    WithMessages,
)
from parlor.entrypoints.http.idempotency import REPLAYED, InvalidIdempotencyKey, once_key
from parlor.entrypoints.http.openapi import MEMBERS, SIGNED_IN, needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.preconditions import InvalidIfMatch, expected_by
from parlor.entrypoints.http.routing import BASE, api_router

OWNED = (NotChatOwner, DirectChat, PartyChat)
OPEN_EXTRA = needs(
    SIGNED_IN,
    InvalidMembers,
    UnknownUser,
    IdempotencyKeyReused,
    IdempotencyInProgress,
    InvalidIdempotencyKey,
    keys=[],
) | {"parameters": [idempotency.PARAMETER]}
CHANGE_EXTRA = needs(MEMBERS, *OWNED, Stale, InvalidIfMatch, keys=[]) | {
    "parameters": [preconditions.PARAMETER]
}
SEEN = needs(MEMBERS, keys=[])
LISTED = needs(MEMBERS, InvalidCursor, keys=[])
FOUND: dict[int | str, dict[str, Any]] = {
    200: {"model": Chat, "description": "The direct chat that these two have already."}
}
PRESENT: dict[int | str, dict[str, Any]] = {
    200: {"model": ChatMember, "description": "They are in the chat already."}
}


def chat_routes(container: Container) -> APIRouter:
    """Make the routes of chats as a whole."""
    routes = api_router("chats")
    open_new = container.command(OpenChat)
    rename = container.command(RenameChat)
    delete = container.command(DeleteChat)
    views = container.get(ChatViews)
    cursors = Cursors("chats", container.settings.secrets)

    @routes.get("/chats", response_model=ChatPage, openapi_extra=LISTED)
    async def list_chats(
        actor: CurrentActor,
        with_messages: WithMessages = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """List the chats that one is in, newest activity first."""
        page = cursors.request(limit, cursor)
        return cursors.answer(await views.page(actor, page, with_messages=with_messages))

    @routes.post(
        "/chats", status_code=CREATED, response_model=Chat, responses=FOUND, openapi_extra=OPEN_EXTRA
    )
    async def open_chat(body: ChatBody, request: Request, actor: CurrentActor) -> Response:
        """Open a group of up to 256, or the one direct chat of two people: 200 where they have it already."""
        opened = await open_new(actor, body.new(), once=once_key(request, actor))
        headers = {"Location": f"{BASE}/chats/{opened.chat_id}"} | (REPLAYED if opened.replayed else {})
        return viewed(await views.one(actor, opened.chat_id), status=opened.status, headers=headers)

    @routes.get("/chats/{chat_id}", response_model=Chat, openapi_extra=SEEN)
    async def get_chat(chat_id: UUID, actor: CurrentActor, with_messages: WithMessages = None) -> Response:
        """Read a chat."""
        return viewed(await views.one(actor, ChatId(chat_id), with_messages=with_messages))

    @routes.patch("/chats/{chat_id}", response_model=Chat, openapi_extra=CHANGE_EXTRA)
    async def rename_chat(
        chat_id: UUID, body: ChatChanges, request: Request, actor: CurrentActor
    ) -> Response:
        """Give a group another title, as its owner."""
        expected = expected_by(request)
        await rename(actor, ChatId(chat_id), body.changes(), expected=expected)
        return viewed(await views.one(actor, ChatId(chat_id)))

    @routes.delete("/chats/{chat_id}", status_code=204, openapi_extra=CHANGE_EXTRA)
    async def delete_chat(chat_id: UUID, request: Request, actor: CurrentActor) -> Response:
        """End a group for everybody, as its owner."""
        await delete(actor, ChatId(chat_id), expected=expected_by(request))
        return Response(status_code=204)

    return routes


def chat_member_routes(container: Container) -> APIRouter:
    """Make the routes of chats' members."""
    routes = api_router("chats")
    add = container.command(AddMember)
    remove = container.command(RemoveMember)
    views = container.get(ChatViews)
    cursors = Cursors("chat members", container.settings.secrets)

    @routes.get("/chats/{chat_id}/members", response_model=ChatMemberPage, openapi_extra=LISTED)
    async def list_chat_members(
        chat_id: UUID, actor: CurrentActor, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List who is in a chat, in the order of their ids."""
        own = cursors.of(chat_id)
        page = own.request(limit, cursor)
        return own.answer(await views.members(actor, ChatId(chat_id), page))

    @routes.post(
        "/chats/{chat_id}/members",
        status_code=CREATED,
        response_model=ChatMember,
        responses=PRESENT,
        openapi_extra=needs(MEMBERS, *OWNED, UnknownUser, ChatFull, keys=[]),
    )
    async def add_chat_member(chat_id: UUID, body: MemberBody, actor: CurrentActor) -> Response:
        """Take somebody into a group, as its owner; they see all that was written before."""
        user_id = UserId(body.user_id)
        new = await add(actor, ChatId(chat_id), user_id)
        view = await views.member(actor, ChatId(chat_id), user_id)
        return Response(view, status_code=CREATED if new else 200, media_type=JSON)

    @routes.delete(
        "/chats/{chat_id}/members/{user_id}", status_code=204, openapi_extra=needs(MEMBERS, *OWNED, keys=[])
    )
    async def remove_chat_member(chat_id: UUID, user_id: UUID, actor: CurrentActor) -> Response:
        """Put somebody out of a group, as its owner, or leave it oneself: the longest-serving member owns it then."""
        await remove(actor, ChatId(chat_id), UserId(user_id))
        return Response(status_code=204)

    return routes
