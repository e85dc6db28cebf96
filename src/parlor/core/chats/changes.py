"""Changes of chats, and the hints that carry them to whoever listens right now.

The tables are the truth: each change has taken the chat's next `rev` there, and a hint may be lost. It is published
right after the commit, on the chat's own channel of the feed, and holds all that a process needs to send it on without
a query:

    1 byte    what happened, a letter of `LETTERS`
    8 bytes   rev, big-endian; 0 for what takes none
    then      the message as JSON (c, e, d, r), 16 bytes of a user's id (j, l, t), these and 8 bytes of seq (p),
              who listens where (o, `presence.py`), or nothing (f, x)

JSON is what REST shows of the message, encoded once, by whoever changed it. A letter that a process does not know comes
from another release: it may ask the table, as it does where a rev is missing.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import ChatId, UserId


class ChangeKind(StrEnum):
    """What happened. The first four are named as their frames are."""

    CREATED = "message.created"
    EDITED = "message.edited"
    DELETED = "message.deleted"
    REACTION = "reaction"
    JOINED = "joined"
    LEFT = "left"
    FORGOTTEN = "forgotten"
    """Old messages are no more; only the table tells it."""
    ENDED = "ended"
    """The chat is no more."""
    READ = "read"
    """Somebody has read up to a message; takes no rev."""
    TYPING = "typing"
    """Somebody is typing; takes no rev, and is stored nowhere."""
    PRESENT = "present"
    """Who listens in one of the processes; takes no rev, and is stored nowhere."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a chat: of a message (as it is now, in JSON), or of who is in it."""

    chat_id: ChatId
    rev: int
    kind: ChangeKind
    message: bytes = b""
    user_id: UserId | None = None
    seq: int = 0


LETTERS = {
    ChangeKind.CREATED: b"c",
    ChangeKind.EDITED: b"e",
    ChangeKind.DELETED: b"d",
    ChangeKind.REACTION: b"r",
    ChangeKind.JOINED: b"j",
    ChangeKind.LEFT: b"l",
    ChangeKind.FORGOTTEN: b"f",
    ChangeKind.ENDED: b"x",
    ChangeKind.READ: b"p",
    ChangeKind.TYPING: b"t",
    ChangeKind.PRESENT: b"o",
}
_KINDS = {letter: kind for kind, letter in LETTERS.items()}
_HEAD = struct.Struct(">cQ")
_SEQ = struct.Struct(">Q")
_ID_BYTES = 16


class UnknownChange(ValueError):
    """This hint was written by another release."""


def channel_of(chat_id: ChatId) -> str:
    """Name the channel of the feed on which this chat's changes are told."""
    return f"chat.{chat_id}"


def written(change: Change) -> bytes:
    """Write a hint."""
    who = b"" if change.user_id is None else change.user_id.bytes
    seq = _SEQ.pack(change.seq) if change.kind is ChangeKind.READ else b""
    return _HEAD.pack(LETTERS[change.kind], change.rev) + change.message + who + seq


def read(chat_id: ChatId, hint: bytes) -> Change:
    """Read a hint. Raises UnknownChange."""
    try:
        letter, rev = _HEAD.unpack_from(hint)
        kind, rest = _KINDS[letter], hint[_HEAD.size :]
        match kind:
            case ChangeKind.JOINED | ChangeKind.LEFT | ChangeKind.TYPING:
                return Change(chat_id, rev, kind, user_id=_user(rest))
            case ChangeKind.READ:
                (seq,) = _SEQ.unpack(rest[_ID_BYTES:])
                return Change(chat_id, rev, kind, user_id=_user(rest[:_ID_BYTES]), seq=seq)
            case _:
                return Change(chat_id, rev, kind, message=rest)
    except (struct.error, KeyError, ValueError) as error:
        raise UnknownChange from error


async def tell(feed: Feed, changes: Sequence[Change]) -> None:
    """Hint to whoever listens to these chats, in the order of the changes. Never raises.

    What has a rev is told once however often it is heard, so listeners in this process need not wait for the others.
    """
    for change in changes:
        await feed.publish(channel_of(change.chat_id), written(change), repeatable=change.rev > 0)


def _user(raw: bytes) -> UserId:
    return UserId(UUID(bytes=raw))
