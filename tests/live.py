"""Frames of a chat, as the contract has them, and a client that waits for nothing longer than it must."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from parlor.client import Backoff, Parlor, Tokens
from tests.scripted import HELLO, Peer, Reply, Script
from tests.waiting import soon

CHAT = "c1"
CHANGES = f"GET /chats/{CHAT}/changes"
TICKETS = "POST /realtime/tickets"
REFRESH = "POST /auth/refresh"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # httpx reads every authority there is, for each client
OLD = Tokens("a1", "r1", 9e9)


@dataclass(frozen=True, slots=True)
class Noted(Backoff):
    """Waits for nothing, and notes for how long it should: after which attempt, and how much at least."""

    asked: list[tuple[int, float]] = field(default_factory=list)

    def pause(self, attempt: int, *, at_least: float = 0) -> float:
        """Note it."""
        self.asked.append((attempt, at_least))
        return 0


def a_parlor(base: str, **options: Any) -> Parlor:
    """Make a client with a session."""
    backoff = Backoff(first_s=0.001, most_s=0.01)
    return Parlor(base, **{"tokens": OLD, "backoff": backoff, "tls": NO_TLS, **options})


def pair(number: int, expires_in: int = 900) -> dict[str, Any]:
    return {
        "access_token": f"a{number}",
        "token_type": "Bearer",
        "expires_in": expires_in,
        "refresh_token": f"r{number}",
        "refresh_expires_in": 9000,
    }


def message(rev: int, *, edited: bool = False, deleted: bool = False) -> dict[str, Any]:
    when = "2026-01-01T00:00:00Z"
    return {
        "id": f"m{rev}",
        "chat_id": CHAT,
        "rev": rev,
        "edited_at": when if edited else None,
        "deleted_at": when if deleted else None,
    }


def change(rev: int) -> dict[str, Any]:
    return {"type": "message.created", "chat_id": CHAT, "rev": rev, "message": message(rev)}


def subscribed(last_rev: int) -> dict[str, Any]:
    return {"type": "subscribed", "chat_id": CHAT, "last_rev": last_rev, "last_seq": last_rev}


def caught_up(rev: int) -> dict[str, Any]:
    return {"type": "caught_up", "chat_id": CHAT, "rev": rev}


def pulled(*messages: dict[str, Any], next_rev: int | None = None, last_rev: int = 0, **more: int) -> Reply:
    return Reply(json={"items": messages, "next_rev": next_rev, "last_rev": last_rev, **more})


def says(*frames: Any, expects: int | None = None, closes: int | None = None) -> Script:
    """Greet, hear a subscription from this position, say these, and perhaps close."""

    async def script(peer: Peer) -> None:
        await peer.says(HELLO)
        asked = await peer.hears("subscribe")
        assert asked.get("since_rev") == expects
        await peer.says(*frames)
        if closes is not None:
            await peer.closes(closes)

    return script


async def greets(peer: Peer) -> None:
    """Say hello, and no more."""
    await peer.says(HELLO)


async def revs(chat: AsyncIterator[dict[str, Any]], number: int) -> list[int]:
    """Take so many changes."""
    return [(await soon(anext(chat)))["rev"] for _ in range(number)]
