"""Users, what they may do, and what keeps them signed in."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)

from parlor.adapters.sql.tables.base import MOMENT, metadata

users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("email_verified", Boolean, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("search_key", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    Column("deleted_at", MOMENT),
    Column("version", Integer, nullable=False),
    Index("uq_users_email_key", "email_key", unique=True),
    Index(
        "ix_users_search", "search_key", postgresql_using="gin", postgresql_ops={"search_key": "gin_trgm_ops"}
    ),
    Index("ix_users_disabled", "id", postgresql_where=text("status = 'disabled'")),
    CheckConstraint("status in ('active', 'disabled')", name="status"),
)

roles = Table(
    "roles",
    metadata,
    Column("name", Text, primary_key=True),
    Column("description", Text, nullable=False, server_default=""),
    Column("permissions", ARRAY(Text), nullable=False),
)

user_roles = Table(
    "user_roles",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("role", Text, ForeignKey("roles.name"), primary_key=True),
    Index("ix_user_roles_role", "role", "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("last_used_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("current", LargeBinary, nullable=False),
    Column("parent", LargeBinary),
    Column("rotated_at", MOMENT),
    Column("ended_at", MOMENT),
    Column("ip", Text),
    Column("user_agent", Text),
    Index("ix_sessions_live", "user_id", "created_at", postgresql_where=text("ended_at is null")),
    Index("ix_sessions_user_id", "user_id"),
    Index("ix_sessions_over", text("coalesce(ended_at, expires_at)")),
    Index("ix_sessions_last_used_at", "last_used_at"),
)

logins = Table(
    "logins",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("ip", Text),
    Column("network", Text, nullable=False),
    Column("user_agent", Text),
    Column("session_id", Uuid),
    Index("ix_logins_user_id", "user_id", "at", "id"),
    Index("ix_logins_known", "user_id", "network", "at", postgresql_where=text("outcome = 'success'")),
)
# However hard somebody tries, an account is told once a minute that it was throttled. (The words are PostgreSQL's
# own, so that Alembic finds the two equal.)
Index(
    "uq_logins_throttled",
    logins.c.user_id,
    text("date_trunc('minute'::text, (at AT TIME ZONE 'UTC'::text))"),
    unique=True,
    postgresql_where=text("outcome = 'throttled'"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Index("ix_refresh_tokens_session_id", "session_id"),
)

tickets = Table(
    "tickets",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Index("ix_tickets_session_id", "session_id", "expires_at"),
    Index("ix_tickets_expires_at", "expires_at"),
)

mail_tokens = Table(
    "mail_tokens",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Index("uq_mail_tokens_fingerprint", "fingerprint", unique=True),
    Index("ix_mail_tokens_expires_at", "expires_at"),
)
