"""Chats, and who is in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from parlor.core.shared.actor import Actor, ActorKind, PersonRequired
from parlor.core.shared.errors import Conflict, Flaw, Forbidden, Invalid
from parlor.core.shared.ids import ChatId, PartyId, UserId

TITLE_LENGTH = (1, 100)
MAX_MEMBERS = 256
MODERATE = "chats:moderate"


class DirectChat(Conflict):
    """A direct chat stays what it is: the two of them, without a title, for good."""

    code = "direct_chat"


class PartyChat(Conflict):
    """A party's chat follows its party: change that one."""

    code = "party_chat"


class NotChatOwner(Forbidden):
    """Only the owner of this chat may do this."""

    code = "not_chat_owner"


class ChatFull(Conflict):
    """A group has 256 members at most."""

    code = "chat_full"


class InvalidMembers(Invalid):
    """Not everybody who is named can be in this chat."""

    code = "invalid_members"


class ChatKind(StrEnum):
    """Two people for good, a group with an owner, or the members of a party."""

    DIRECT = "direct"
    GROUP = "group"
    PARTY = "party"


class ChatRole(StrEnum):
    """What a member may do: an owner renames, adds, removes, and deletes what others wrote."""

    OWNER = "owner"
    MEMBER = "member"


def person(actor: Actor) -> UserId:
    """Tell which person calls. Raises PersonRequired."""
    if actor.kind is not ActorKind.USER or actor.user_id is None:
        raise PersonRequired
    return actor.user_id


@dataclass(frozen=True, slots=True)
class NewChat:
    """A chat that somebody wants to open with these others."""

    kind: ChatKind
    title: str | None = None
    member_ids: Sequence[UserId] = ()

    def others(self, founder: UserId) -> list[UserId]:
        """Tell who is to be in it beside its founder, each once. Raises InvalidMembers."""
        found = [one for one in dict.fromkeys(self.member_ids) if one != founder]
        if self.kind is ChatKind.DIRECT and len(found) != 1:
            flaw = Flaw("/member_ids", "one_other", "A direct chat is with exactly one other person.")
            raise InvalidMembers(flaws=[flaw])
        if self.kind is ChatKind.DIRECT and self.title is not None:
            raise InvalidMembers(flaws=[Flaw("/title", "no_title", "A direct chat has no title.")])
        if len(found) >= MAX_MEMBERS:
            flaw = Flaw("/member_ids", "too_many_members", "A group has 256 members at most.")
            raise InvalidMembers(flaws=[flaw])
        return found


@dataclass(frozen=True, slots=True)
class ChatChanges:
    """What is to become different: the title where it is `named`, and none is then none."""

    named: bool = False
    title: str | None = None


@dataclass(slots=True)
class Chat:
    """One chat. `member_count` moves without a new `version`: that one guards what people edit."""

    id: ChatId
    kind: ChatKind
    title: str | None
    created_at: datetime
    updated_at: datetime
    party_id: PartyId | None = None
    direct_key: str | None = None
    member_count: int = 0
    version: int = 1

    def must_be_group(self) -> None:
        """Raise DirectChat or PartyChat: neither is its members' own to change."""
        if self.kind is ChatKind.DIRECT:
            raise DirectChat
        if self.kind is ChatKind.PARTY:
            raise PartyChat

    def must_have_room(self) -> None:
        """Raise ChatFull where one more would be too many."""
        if self.member_count >= MAX_MEMBERS:
            raise ChatFull

    def rename(self, title: str | None, at: datetime) -> bool:
        """Take another title, or none; tells whether that is news."""
        if title == self.title:
            return False
        self.title, self.updated_at = title, at
        return True


@dataclass(slots=True)
class ChatMember:
    """Somebody's place in a chat; it stays when they leave. Everything up to `read_seq` counts as read."""

    chat_id: ChatId
    user_id: UserId
    role: ChatRole
    joined_at: datetime
    joined_seq: int = 0
    read_seq: int = 0
    rev: int = 0
    left_at: datetime | None = None

    def must_own(self) -> None:
        """Raise NotChatOwner."""
        if self.role is not ChatRole.OWNER:
            raise NotChatOwner


def direct_key(one: UserId, other: UserId) -> str:
    """Name what is the same for the same two people: their ids, sorted."""
    return ":".join(sorted(map(str, (one, other))))
