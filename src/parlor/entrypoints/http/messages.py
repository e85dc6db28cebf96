"""Messages: write, read, change, find."""

from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from parlor.container import Container
from parlor.core.chats.members import ReadUpTo
from parlor.core.chats.messages import (
    ClientIdReused,
    MessageDeleted,
    NotYourMessage,
    TooManyReactions,
    UnknownMessage,
)
from parlor.core.chats.model import MODERATE
from parlor.core.chats.posting import DeleteMessage, EditMessage, PostMessage, React, Unreact
from parlor.core.chats.reading import ChatSearch, ChatViews, ContradictoryWindow, Side, Window
from parlor.core.shared.ids import ChatId, MessageId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http.answer_headers import PLACED
from parlor.entrypoints.http.answers import JSON
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.chat_schemas import (
    ChangedMessages,
    Emoji,
    Message,
    MessageBody,
    MessageChanges,
    MessagePage,
    ReadBody,
    SearchWords,
    Seq,
    SinceRev,
)
from parlor.entrypoints.http.openapi import MEMBERS, needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.routing import BASE, api_router

SEEN = needs(MEMBERS, keys=[])
POST_EXTRA = needs(MEMBERS, UnknownMessage, ClientIdReused, keys=[])
HISTORY_EXTRA = needs(MEMBERS, ContradictoryWindow, InvalidCursor, keys=[])
SENT: dict[int | str, dict[str, Any]] = {
    201: PLACED,
    200: {
        "model": Message,
        "description": "This `client_id` was sent before: the message of that time.",
        **PLACED,
    },
}


def message_routes(container: Container) -> APIRouter:
    """Make the routes of messages; the hottest one first."""
    routes = api_router("chats")
    post = container.command(PostMessage)
    edit = container.command(EditMessage)
    delete = container.command(DeleteMessage)
    views = container.get(ChatViews)

    @routes.post(
        "/chats/{chat_id}/messages",
        status_code=201,
        response_model=Message,
        responses=SENT,
        openapi_extra=POST_EXTRA,
    )
    async def post_message(chat_id: UUID, body: MessageBody, actor: CurrentActor) -> Response:
        """Write into a chat. With a `client_id` it can be sent again for ever, and is there once."""
        reply_to = None if body.reply_to is None else MessageId(body.reply_to)
        posted = await post(actor, ChatId(chat_id), body.text, reply_to=reply_to, client_id=body.client_id)
        place = {"Location": f"{BASE}/chats/{chat_id}/messages/{posted.id}"}
        return Response(posted.json, status_code=201 if posted.new else 200, headers=place, media_type=JSON)

    @routes.get("/chats/{chat_id}/messages/{message_id}", response_model=Message, openapi_extra=SEEN)
    async def get_message(chat_id: UUID, message_id: UUID, actor: CurrentActor) -> Response:
        """Read a message; of a deleted one, its place is left."""
        view = await views.message(actor, ChatId(chat_id), MessageId(message_id))
        return Response(view, media_type=JSON)

    @routes.patch(
        "/chats/{chat_id}/messages/{message_id}",
        response_model=Message,
        openapi_extra=needs(MEMBERS, NotYourMessage, MessageDeleted, keys=[]),
    )
    async def edit_message(
        chat_id: UUID, message_id: UUID, body: MessageChanges, actor: CurrentActor
    ) -> Response:
        """Say something else in a message of one's own; it keeps its place."""
        await edit(actor, ChatId(chat_id), MessageId(message_id), body.text)
        view = await views.message(actor, ChatId(chat_id), MessageId(message_id))
        return Response(view, media_type=JSON)

    @routes.delete(
        "/chats/{chat_id}/messages/{message_id}",
        status_code=204,
        openapi_extra=needs(MEMBERS, NotYourMessage, keys=[MODERATE]),
    )
    async def delete_message(chat_id: UUID, message_id: UUID, actor: CurrentActor) -> Response:
        """Delete a message as its author, the chat's owner, or with `chats:moderate`; deleting twice is once."""
        await delete(actor, ChatId(chat_id), MessageId(message_id))
        return Response(status_code=204)

    return routes


def reading_routes(container: Container) -> APIRouter:
    """Make the routes that read a chat's messages, and note how far one has read."""
    routes = api_router("chats")
    read_up_to = container.command(ReadUpTo)
    views = container.get(ChatViews)
    find = container.get(ChatSearch)
    history_cursors = Cursors("messages", container.settings.secrets)
    search_cursors = Cursors("found messages", container.settings.secrets)

    @routes.get("/chats/{chat_id}/messages", response_model=MessagePage, openapi_extra=HISTORY_EXTRA)
    async def list_messages(
        chat_id: UUID,
        actor: CurrentActor,
        *,
        before: Seq = None,
        after: Seq = None,
        around: Seq = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """Read messages by their `seq`, in its order: before one, after one, around one, or the newest."""
        asked = {Side.BEFORE: before, Side.AFTER: after, Side.AROUND: around}
        cursors = history_cursors.of(chat_id)
        key = None if cursor is None else cursors.read(cursor)
        window = Window.of(limit, asked, key)
        return cursors.answer(await views.history(actor, ChatId(chat_id), window))

    @routes.get("/chats/{chat_id}/changes", response_model=ChangedMessages, openapi_extra=SEEN)
    async def list_changes(
        chat_id: UUID, actor: CurrentActor, since_rev: SinceRev = 0, limit: Limit = DEFAULT_LIMIT
    ) -> Response:
        """Catch up: each message that has changed since, once, in the order of the newest changes."""
        changed = await views.changes(actor, ChatId(chat_id), since_rev=since_rev, limit=limit)
        forgotten = {} if changed.first_seq is None else {"first_seq": changed.first_seq}
        rest = orjson.dumps({"next_rev": changed.next_rev, "last_rev": changed.last_rev, **forgotten})
        return Response(b'{"items":' + changed.items + b"," + rest[1:], media_type=JSON)

    @routes.post("/chats/{chat_id}/read", status_code=204, openapi_extra=SEEN)
    async def read_chat(chat_id: UUID, body: ReadBody, actor: CurrentActor) -> Response:
        """Note up to which message one has read: never back, and not beyond the last one."""
        await read_up_to(actor, ChatId(chat_id), body.seq)
        return Response(status_code=204)

    @routes.get(
        "/chats/{chat_id}/search",
        response_model=MessagePage,
        openapi_extra=needs(MEMBERS, InvalidCursor, keys=[]),
    )
    async def search_chat(
        chat_id: UUID,
        q: SearchWords,
        actor: CurrentActor,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """Find messages by their words, newest first; where there is none, by words that differ in one letter."""
        cursors = search_cursors.of(chat_id)
        page = await find(actor, ChatId(chat_id), q, cursors.request(limit, cursor))
        return cursors.answer(page)

    return routes


def reaction_routes(container: Container) -> APIRouter:
    """Make the routes of reactions to messages."""
    routes = api_router("chats")
    react_to = container.command(React)
    take_back = container.command(Unreact)

    @routes.put(
        "/chats/{chat_id}/messages/{message_id}/reactions/{emoji:rest}",
        status_code=204,
        openapi_extra=needs(MEMBERS, MessageDeleted, TooManyReactions, keys=[]),
    )
    async def react(chat_id: UUID, message_id: UUID, emoji: Emoji, actor: CurrentActor) -> Response:
        """React to a message, once; it takes 32 different ones at most."""
        await react_to(actor, ChatId(chat_id), MessageId(message_id), emoji)
        return Response(status_code=204)

    @routes.delete(
        "/chats/{chat_id}/messages/{message_id}/reactions/{emoji:rest}", status_code=204, openapi_extra=SEEN
    )
    async def unreact(chat_id: UUID, message_id: UUID, emoji: Emoji, actor: CurrentActor) -> Response:
        """Take a reaction back; without one, nothing happens."""
        await take_back(actor, ChatId(chat_id), MessageId(message_id), emoji)
        return Response(status_code=204)

    return routes
