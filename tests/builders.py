"""Valid things, every field defaulted: a test names what matters to it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from parlor.core.identity.api_keys import ApiKey, draw
from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.model import SESSION_LIFE, Client, Session, User
from parlor.core.parties.model import Invitation, Membership, Party, Role, Visibility
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.bus import Delivery
from parlor.core.shared.ids import (
    ChatId,
    InvitationId,
    PartyId,
    ScheduleId,
    SessionId,
    TaskId,
    UserId,
    uuid7,
)
from parlor.core.shared.work import OnceKey
from parlor.core.tasks.model import Attempt, DeadLetter, Order, Priority, Requester, Task
from parlor.core.tasks.schedules import NewSchedule, Schedule
from tests.fakes.clock import NOON

PASSWORD = "correct horse battery staple"


def a_user(**fields: Any) -> User:
    user_id = UserId(uuid7())
    defaults: dict[str, Any] = {
        "id": user_id,
        "email": f"{user_id.hex}@example.org",
        "display_name": "Ada",
        "password_hash": f"v2:{PASSWORD}",
        "created_at": NOON,
        "updated_at": NOON,
    }
    return User(**defaults | fields)


def a_session(user: User | None = None, **fields: Any) -> Session:
    created_at: datetime = fields.get("created_at", NOON)
    defaults: dict[str, Any] = {
        "id": SessionId(uuid7()),
        "user_id": user.id if user else UserId(uuid7()),
        "created_at": created_at,
        "last_used_at": created_at,
        "expires_at": created_at + SESSION_LIFE,
        "current": uuid7().bytes,
        "client": Client(ip="192.0.2.1", user_agent="tests"),
    }
    return Session(**defaults | fields)


def a_line(user: User, **fields: Any) -> LoginEntry:
    defaults: dict[str, Any] = {
        "at": NOON,
        "outcome": Outcome.SUCCESS,
        "method": Method.PASSWORD,
        "client": Client(ip="192.0.2.1", user_agent="tests"),
    }
    return LoginEntry(user.id, **defaults | fields)


def an_api_key(shown: str | None = None, **fields: Any) -> ApiKey:
    shown = shown or draw()
    key = ApiKey.of(shown, name="a service", scopes={"tasks:create"}, maker_id=None, at=NOON)
    return replace(key, **fields)


def an_actor(*permissions: str, user_id: UUID | None = None) -> Actor:
    person = UserId(user_id or uuid7())
    return Actor(kind=ActorKind.USER, id=person, user_id=person, permissions=frozenset(permissions))


def a_requester(actor: Actor | None = None) -> Requester:
    return Requester.of(actor or an_actor())


def an_order(**fields: Any) -> Order:
    defaults: dict[str, Any] = {"kind": "note", "payload": {"text": "hello"}}
    return Order(**defaults | fields)


def a_letter(**fields: Any) -> DeadLetter:
    defaults: dict[str, Any] = {
        "reason": "not_json",
        "detail": "The body is not JSON.",
        "message_id": "order-7",
        "routing_key": "high",
    }
    return DeadLetter(**defaults | fields)


def a_task(**fields: Any) -> Task:
    defaults: dict[str, Any] = {
        "id": TaskId(uuid7()),
        "kind": "note",
        "payload": {"text": "hello"},
        "requested_by": a_requester(),
    }
    return Task(**defaults | fields)


def a_schedule(**fields: Any) -> Schedule:
    defaults: dict[str, Any] = {
        "id": ScheduleId(uuid7()),
        "owner_id": UserId(uuid7()),
        "name": "Every minute",
        "cron": "* * * * *",
        "timezone": "UTC",
        "kind": "note",
        "payload": {"text": "hello"},
        "created_at": NOON,
        "next_run_at": NOON if fields.get("enabled", True) else None,
    }
    return Schedule(**defaults | fields)


def a_new_schedule(**fields: Any) -> NewSchedule:
    defaults: dict[str, Any] = {
        "name": "Every minute",
        "cron": "* * * * *",
        "kind": "note",
        "payload": {"text": "hello"},
    }
    return NewSchedule(**defaults | fields)


def a_party(**fields: Any) -> Party:
    defaults: dict[str, Any] = {
        "id": PartyId(uuid7()),
        "name": "Dragons",
        "description": "",
        "visibility": Visibility.PUBLIC,
        "capacity": 8,
        "owner_id": UserId(uuid7()),
        "chat_id": ChatId(uuid7()),
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Party(**defaults | fields)


def a_membership(party: Party, **fields: Any) -> Membership:
    defaults: dict[str, Any] = {"user_id": UserId(uuid7()), "role": Role.MEMBER, "joined_at": NOON}
    return Membership(party.id, **defaults | fields)


def an_owner(party: Party) -> Membership:
    return a_membership(party, user_id=party.owner_id, role=Role.OWNER, joined_at=party.created_at)


def an_invitation(party: Party, **fields: Any) -> Invitation:
    defaults: dict[str, Any] = {
        "id": InvitationId(uuid7()),
        "inviter_id": party.owner_id,
        "guest_id": UserId(uuid7()),
        "created_at": NOON,
        "expires_at": NOON + DAY,
    }
    return Invitation(party_id=party.id, **defaults | fields)


def a_service(*scopes: str) -> Actor:
    """Make a key's actor; its maker is a person, whom it does not act for."""
    return Actor(ActorKind.API_KEY, id=uuid7(), user_id=UserId(uuid7()), permissions=frozenset(scopes))


def an_attempt(**fields: Any) -> Attempt:
    defaults: dict[str, Any] = {
        "task_id": TaskId(uuid7()),
        "kind": "note",
        "payload": {"text": "hello"},
        "attempt": 1,
        "max_attempts": 5,
        "timeout_s": 60,
        "fence": 1,
        "priority": Priority.DEFAULT,
        "requested_by": a_requester(),
    }
    return Attempt(**defaults | fields)


def a_key(key: str = "key", *, caller: str = "user:1", fingerprint: bytes = b"body") -> OnceKey:
    return OnceKey(caller=caller, key=key, fingerprint=fingerprint)


def a_delivery(
    body: bytes = b"{}",
    *,
    message_id: str | None = None,
    queue: str = "default",
    headers: Mapping[str, object] | None = None,
    content_type: str | None = "application/json",
) -> Delivery:
    return Delivery(
        message_id=message_id, body=body, queue=queue, headers=headers or {}, content_type=content_type
    )


def a_due_delivery(task_id: UUID, queue: str = "default") -> Delivery:
    """Say what our own relay says."""
    return Delivery(message_id=str(task_id), body=b"{}", queue=queue, headers={"x-parlor-row": 1})


DAY = timedelta(days=1)
