"""Every table of Parlor, as `migrations/` makes them; a test holds the two together."""

from parlor.adapters.sql.tables.api_keys import api_keys
from parlor.adapters.sql.tables.base import MOMENT, metadata
from parlor.adapters.sql.tables.chats import chat_heads, chat_members, chats, messages, reactions
from parlor.adapters.sql.tables.identity import (
    logins,
    mail_tokens,
    refresh_tokens,
    roles,
    sessions,
    tickets,
    user_roles,
    users,
)
from parlor.adapters.sql.tables.outboxes import (
    event_numbers,
    event_outbox,
    idempotency_keys,
    outbox_failed,
    replay_outbox,
    task_outbox,
)
from parlor.adapters.sql.tables.parties import parties, party_bans, party_invitations, party_members
from parlor.adapters.sql.tables.tasks import LIVE, RANK, REQUESTER, dead_letters, schedules, tasks

__all__ = [
    "LIVE",
    "MOMENT",
    "RANK",
    "REQUESTER",
    "api_keys",
    "chat_heads",
    "chat_members",
    "chats",
    "dead_letters",
    "event_numbers",
    "event_outbox",
    "idempotency_keys",
    "logins",
    "mail_tokens",
    "messages",
    "metadata",
    "outbox_failed",
    "parties",
    "party_bans",
    "party_invitations",
    "party_members",
    "reactions",
    "refresh_tokens",
    "replay_outbox",
    "roles",
    "schedules",
    "sessions",
    "task_outbox",
    "tasks",
    "tickets",
    "user_roles",
    "users",
]
