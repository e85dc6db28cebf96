"""The floors of chats: FastAPI on asyncpg by hand, and a bare Starlette broadcast; nobody is asked who they are."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel
from starlette.websockets import WebSocket, WebSocketDisconnect

from parlor.adapters.sql.message_rows import MESSAGE
from parlor.config import Settings

AUTHOR = UUID("00000000-0000-7000-8000-000000000001")
TABLE = """
create table if not exists floor_messages (
    id uuid primary key, chat_id uuid not null, author_id uuid not null, text text not null,
    created_at timestamptz not null default clock_timestamp())"""
INSERT = """
insert into floor_messages as m (id, chat_id, author_id, text) values ($1, $2, $3, $4) returning row_to_json(m)::text"""
# The same rows, and the same JSON of each, as Parlor's own page.
PAGE = f"""
select json_build_object('items', coalesce(json_agg(item order by seq), '[]'))::text from (
    select seq, {MESSAGE} as item from messages where chat_id = $1 and seq < $2 order by seq desc limit 50) page"""


class Draft(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    size = Settings.model_fields["database_pool"].default
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=size, max_size=size) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)
listening: set[WebSocket] = set()


@app.post("/chats/{chat_id}/messages", status_code=201, response_model=None)
async def write(chat_id: UUID, draft: Draft) -> Response:
    row = await app.state.pool.fetchval(INSERT, uuid4(), chat_id, AUTHOR, draft.text)
    return Response(row, status_code=201, media_type="application/json")


@app.get("/chats/{chat_id}/messages", response_model=None)
async def history(chat_id: UUID, before: int) -> Response:
    page = await app.state.pool.fetchval(PAGE, chat_id, before)
    return Response(page, media_type="application/json")


@app.websocket("/write")
async def write_over_socket(socket: WebSocket) -> None:
    """Store each frame's text, and answer with the row."""
    await socket.accept()
    try:
        while True:
            draft = await socket.receive_json()
            row = await app.state.pool.fetchval(
                INSERT, uuid4(), UUID(draft["chat_id"]), AUTHOR, draft["text"]
            )
            await socket.send_text(row)
    except WebSocketDisconnect:
        return


@app.websocket("/listen")
async def listen(socket: WebSocket) -> None:
    await socket.accept()
    listening.add(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        listening.discard(socket)


@app.websocket("/say")
async def say(socket: WebSocket) -> None:
    """Send on what comes, to everybody who listens."""
    await socket.accept()
    try:
        while True:
            text = await socket.receive_text()
            for one in tuple(listening):
                await one.send_text(text)
    except WebSocketDisconnect:
        return


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
    )
