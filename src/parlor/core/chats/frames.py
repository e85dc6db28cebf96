"""What listeners of chats are sent, as JSON: written once, however many they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.reading import Standing
from parlor.core.shared.ids import ChatId, UserId


class Reason(StrEnum):
    """Why a subscription ended."""

    ASKED = "asked"
    REMOVED = "removed"
    """The listener is no longer in the chat, whoever decided that."""
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Gap:
    """Changes of a chat that are not told, both ends included: who wants them reads them from the table."""

    chat_id: ChatId
    from_rev: int
    to_rev: int


@dataclass(frozen=True, slots=True)
class Frame:
    """JSON for a listener. One that carries revs may be replaced by a gap, one that passes may be dropped."""

    json: bytes
    chat_id: ChatId | None = None
    from_rev: int = 0
    to_rev: int = 0
    passes: bool = False

    @property
    def changes(self) -> bool:
        """Whether it carries revs of a chat."""
        return self.to_rev > 0


_KIND: Mapping[ChangeKind, bytes] = {kind: kind.value.encode() for kind in ChangeKind}
_OF_MESSAGE = b'{"type":"%b","chat_id":"%b","rev":%d,"message":%b}'
_OF_MEMBER = b'{"type":"members","chat_id":"%b","rev":%d,"user_id":"%b","change":"%b"}'
_OF_GAP = b'{"type":"gap","chat_id":"%b","from_rev":%d,"to_rev":%d}'
_TYPING = b'{"type":"typing","chat_id":"%b","user_id":"%b"}'
_READ = b'{"type":"read","chat_id":"%b","user_id":"%b","seq":%d}'
_SUBSCRIBED = b'{"type":"subscribed","chat_id":"%b","last_rev":%d,"last_seq":%d}'
_CAUGHT_UP = b'{"type":"caught_up","chat_id":"%b","rev":%d}'
_UNSUBSCRIBED = b'{"type":"unsubscribed","chat_id":"%b","reason":"%b"}'
_PRESENCE = b'{"type":"presence","user_id":"%b","online":%b}'


def told(what: Change | Gap) -> Frame:
    """Write a change, or the want of some. The end of a chat is told by `unsubscribed`.

    That old messages were forgotten is a gap: whoever pulls it is told which are left.
    """
    chat = _text(what.chat_id)
    match what:
        case Gap():
            json = _OF_GAP % (chat, what.from_rev, what.to_rev)
            return Frame(json, what.chat_id, what.from_rev, what.to_rev)
        case Change(kind=ChangeKind.FORGOTTEN):
            return told(Gap(what.chat_id, what.rev, what.rev))
        case Change(kind=ChangeKind.TYPING):
            return Frame(_TYPING % (chat, _text(what.user_id)), what.chat_id, passes=True)
        case Change(kind=ChangeKind.READ):
            return Frame(_READ % (chat, _text(what.user_id), what.seq), what.chat_id, passes=True)
        case Change(kind=ChangeKind.JOINED | ChangeKind.LEFT):
            json = _OF_MEMBER % (chat, what.rev, _text(what.user_id), _KIND[what.kind])
        case Change():
            json = _OF_MESSAGE % (_KIND[what.kind], chat, what.rev, what.message)
    return Frame(json, what.chat_id, what.rev, what.rev)


def subscribed(chat_id: ChatId, standing: Standing) -> Frame:
    """Answer that a subscription has begun."""
    return Frame(_SUBSCRIBED % (_text(chat_id), standing.last_rev, standing.last_seq), chat_id)


def caught_up(chat_id: ChatId, rev: int) -> Frame:
    """Tell that a replay is over: up to here nothing is missing."""
    return Frame(_CAUGHT_UP % (_text(chat_id), rev), chat_id)


def unsubscribed(chat_id: ChatId, reason: Reason) -> Frame:
    """Tell that a subscription has ended."""
    return Frame(_UNSUBSCRIBED % (_text(chat_id), reason.value.encode()), chat_id)


def presence(user_id: UserId, *, online: bool) -> Frame:
    """Tell that somebody has come, or gone."""
    return Frame(_PRESENCE % (_text(user_id), b"true" if online else b"false"), passes=True)


def _text(value: object) -> bytes:
    return str(value).encode()
