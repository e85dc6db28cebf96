"""Rows as the console shows them: mapped for itself, to be read only.

Each class names the columns that it has. Those with hashes, secrets and contents that nobody is to see are not among
them, and neither is one that a table gets later.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, relationship

from parlor.adapters.sql import tables
from parlor.core.identity.model import DELETED_NAME


def _only(*names: str) -> dict[str, Any]:
    return {"include_properties": names}


def _linked(to: str, join: str, **options: Any) -> Any:
    """Follow an id to its row: the tables have few foreign keys, and none of them is written through."""
    return relationship(to, primaryjoin=join, viewonly=True, lazy="raise", **options)


class Row(DeclarativeBase):
    """What all of them derive from; the tables are the ones that everything else uses."""


class User(Row):
    """Somebody with an account."""

    email: Mapped[str]
    deleted_at: Mapped[datetime | None]
    __table__ = tables.users
    __mapper_args__ = _only(
        "id", "email", "email_verified", "display_name", "status", "created_at", "updated_at", "deleted_at"
    )
    roles = relationship("Role", secondary=tables.user_roles, viewonly=True, lazy="raise")

    def __str__(self) -> str:
        return DELETED_NAME if self.deleted_at is not None else self.email


class Role(Row):
    """Permissions under a name."""

    name: Mapped[str]
    __table__ = tables.roles
    __mapper_args__ = _only("name", "description", "permissions")

    def __str__(self) -> str:
        return self.name


class Session(Row):
    """One login, as long as it counts, and for a while after it."""

    id: Mapped[UUID]
    __table__ = tables.sessions
    __mapper_args__ = _only(
        "id", "user_id", "created_at", "last_used_at", "expires_at", "ended_at", "ip", "user_agent"
    )
    user = _linked("User", "foreign(Session.user_id) == User.id")

    def __str__(self) -> str:
        return f"session {str(self.id)[-6:]}"


class LoginEntry(Row):
    """A line of somebody's login history."""

    outcome: Mapped[str]
    __table__ = tables.logins
    __mapper_args__ = _only("id", "user_id", "at", "outcome", "method", "ip", "user_agent", "session_id")
    user = _linked("User", "foreign(LoginEntry.user_id) == User.id")
    session = _linked("Session", "foreign(LoginEntry.session_id) == Session.id")

    def __str__(self) -> str:
        return self.outcome


class ApiKey(Row):
    """A service's key: what it may do, never what it shows."""

    name: Mapped[str]
    __table__ = tables.api_keys
    __mapper_args__ = _only(
        "id",
        "name",
        "prefix",
        "last_four",
        "scopes",
        "maker_id",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
    )
    maker = _linked("User", "foreign(ApiKey.maker_id) == User.id")

    def __str__(self) -> str:
        return self.name


class Party(Row):
    """A party."""

    name: Mapped[str]
    __table__ = tables.parties
    __mapper_args__ = _only(
        "id",
        "name",
        "description",
        "visibility",
        "capacity",
        "owner_id",
        "member_count",
        "chat_id",
        "created_at",
        "updated_at",
    )
    owner = _linked("User", "foreign(Party.owner_id) == User.id")
    chat = _linked("Chat", "foreign(Party.chat_id) == Chat.id")

    def __str__(self) -> str:
        return self.name


class PartyMember(Row):
    """Somebody in a party."""

    role: Mapped[str]
    __table__ = tables.party_members
    __mapper_args__ = _only("party_id", "user_id", "role", "joined_at")
    party = _linked("Party", "foreign(PartyMember.party_id) == Party.id")
    user = _linked("User", "foreign(PartyMember.user_id) == User.id")

    def __str__(self) -> str:
        return self.role


class PartyInvitation(Row):
    """Somebody asked into a party."""

    status: Mapped[str]
    __table__ = tables.party_invitations
    __mapper_args__ = _only("id", "party_id", "inviter_id", "guest_id", "status", "created_at", "expires_at")
    party = _linked("Party", "foreign(PartyInvitation.party_id) == Party.id")
    inviter = _linked("User", "foreign(PartyInvitation.inviter_id) == User.id")
    guest = _linked("User", "foreign(PartyInvitation.guest_id) == User.id")

    def __str__(self) -> str:
        return self.status


class PartyBan(Row):
    """Somebody kept out of a party."""

    __table__ = tables.party_bans
    __mapper_args__ = _only("party_id", "user_id", "banned_by", "banned_at")
    party = _linked("Party", "foreign(PartyBan.party_id) == Party.id")
    user = _linked("User", "foreign(PartyBan.user_id) == User.id")
    by = _linked("User", "foreign(PartyBan.banned_by) == User.id")

    def __str__(self) -> str:
        return "ban"


class Chat(Row):
    """A chat."""

    id: Mapped[UUID]
    kind: Mapped[str]
    title: Mapped[str | None]
    __table__ = tables.chats
    __mapper_args__ = _only(
        "id", "kind", "title", "party_id", "member_count", "created_at", "updated_at", "ended_at"
    )
    party = _linked("Party", "foreign(Chat.party_id) == Party.id")

    def __str__(self) -> str:
        return self.title or f"{self.kind} {str(self.id)[-6:]}"


class Message(Row):
    """A message, as the chat's members see it."""

    seq: Mapped[int]
    __table__ = tables.messages
    __mapper_args__ = {
        **_only(
            "chat_id",
            "seq",
            "id",
            "rev",
            "author_id",
            "kind",
            "text",
            "reply_to",
            "reactions",
            "created_at",
            "edited_at",
            "deleted_at",
        ),
        "primary_key": [tables.messages.c.id],
    }
    chat = _linked("Chat", "foreign(Message.chat_id) == Chat.id")
    author = _linked("User", "foreign(Message.author_id) == User.id")

    def __str__(self) -> str:
        return f"message {self.seq}"


class Task(Row):
    """A task; what its kind marks as secret stands in a column that is not here."""

    kind: Mapped[str]
    __table__ = tables.tasks
    __mapper_args__ = _only(
        "id",
        "kind",
        "status",
        "payload",
        "result",
        "error",
        "attempts",
        "max_attempts",
        "priority",
        "progress",
        "run_at",
        "timeout_s",
        "unique_key",
        "requester_kind",
        "requester_id",
        "user_id",
        "schedule_id",
        "created_at",
        "started_at",
        "finished_at",
        "losses",
    )
    user = _linked("User", "foreign(Task.user_id) == User.id")
    schedule = _linked("Schedule", "foreign(Task.schedule_id) == Schedule.id")

    def __str__(self) -> str:
        return self.kind


class Schedule(Row):
    """What makes tasks at due moments."""

    name: Mapped[str]
    __table__ = tables.schedules
    __mapper_args__ = _only(
        "id",
        "owner_id",
        "name",
        "cron",
        "timezone",
        "kind",
        "payload",
        "priority",
        "enabled",
        "created_at",
        "next_run_at",
        "last_run_at",
        "last_task_id",
    )
    owner = _linked("User", "foreign(Schedule.owner_id) == User.id")
    last_task = _linked("Task", "foreign(Schedule.last_task_id) == Task.id")

    def __str__(self) -> str:
        return self.name


class DeadLetter(Row):
    """A message that could not be taken; of its body the size only, since nobody knows what stands in it."""

    reason: Mapped[str]
    __table__ = tables.dead_letters
    __mapper_args__ = _only(
        "id",
        "reason",
        "detail",
        "message_id",
        "routing_key",
        "is_text",
        "content_type",
        "dead_at",
        "replayed_at",
        "body_bytes",
    )
    body_bytes = column_property(func.octet_length(tables.dead_letters.c.body))

    def __str__(self) -> str:
        return self.reason
