"""Every table of Parlor, as `migrations/` makes them; a test holds the two together."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

MOMENT = DateTime(timezone=True)
LIVE = "status in ('scheduled', 'queued', 'running')"
REQUESTER = "coalesce(user_id, requester_id, '00000000-0000-0000-0000-000000000000'::uuid)"
RANK = "array_position('{high,default,low}'::text[], priority)"
QUEUE_LIKE = {
    "fillfactor": "70",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_cost_delay": "0",
}

users = Table(
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("email_verified", Boolean, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    Column("version", Integer, nullable=False),
    Index("uq_users_email_key", "email_key", unique=True),
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
    Index("ix_user_roles_role", "role"),
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

tasks = Table(
    "tasks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("secrets", JSONB),
    Column("had_secrets", Boolean, nullable=False, server_default=text("false")),
    Column("result", JSONB),
    Column("error", JSONB),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False),
    Column("priority", Text, nullable=False),
    Column("progress", JSONB),
    Column("run_at", MOMENT, nullable=False),
    Column("timeout_s", Integer, nullable=False),
    Column("unique_key", Text),
    Column("requester_kind", Text, nullable=False),
    Column("requester_id", Uuid),
    Column("user_id", Uuid),
    Column("schedule_id", Uuid),
    Column("traceparent", Text),
    Column("created_at", MOMENT, nullable=False, server_default=func.clock_timestamp()),
    Column("queued_at", MOMENT),
    Column("started_at", MOMENT),
    Column("finished_at", MOMENT),
    Column("lease_until", MOMENT),
    Column("losses", SmallInteger, nullable=False, server_default="0"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False, server_default="1"),
    CheckConstraint(
        "status in ('scheduled', 'queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status"
    ),
    CheckConstraint("priority in ('high', 'default', 'low')", name="priority"),
    Index(
        "uq_tasks_unique_key",
        "kind",
        "unique_key",
        unique=True,
        postgresql_where=text(f"unique_key is not null and {LIVE}"),
    ),
    Index("ix_tasks_owner", "user_id", text("created_at desc"), text("id desc")),
    Index(
        "ix_tasks_requester",
        "requester_id",
        text("created_at desc"),
        text("id desc"),
        postgresql_where=text("user_id is null and requester_id is not null"),
    ),
    Index("ix_tasks_created", text("created_at desc"), text("id desc")),
    Index("ix_tasks_due", "run_at", postgresql_where=text("status = 'scheduled'")),
    Index("ix_tasks_queued", "queued_at", postgresql_where=text("status = 'queued'")),
    Index(
        "ix_tasks_held_back",
        "kind",
        text(REQUESTER),
        text(RANK),
        "created_at",
        "id",
        postgresql_where=text("status = 'queued' and queued_at is null"),
    ),
    Index("ix_tasks_leases", "lease_until", postgresql_where=text("status = 'running'")),
    Index("ix_tasks_finished", "finished_at", postgresql_where=text("finished_at is not null")),
    postgresql_with={"fillfactor": "80", "autovacuum_vacuum_scale_factor": "0.05"},
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("secrets", JSONB),
    Column("priority", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("next_run_at", MOMENT),
    Column("last_run_at", MOMENT),
    Column("last_task_id", Uuid),
    Column("version", Integer, nullable=False),
    CheckConstraint("priority in ('high', 'default', 'low')", name="priority"),
    CheckConstraint("enabled = (next_run_at is not null)", name="planned"),
    Index("ix_schedules_owner", "owner_id", text("created_at desc"), text("id desc")),
    Index("ix_schedules_created", text("created_at desc"), text("id desc")),
    Index("ix_schedules_due", "next_run_at", postgresql_where=text("next_run_at is not null")),
    postgresql_with={"fillfactor": "80"},
)

task_outbox = Table(
    "task_outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("task_id", Uuid, nullable=False),
    Column("queue", Text, nullable=False),
    Column("requester", Uuid, nullable=False),
    Column("traceparent", Text),
    Column("failures", SmallInteger, nullable=False, server_default="0"),
    Column("created_at", MOMENT, nullable=False, server_default=func.clock_timestamp()),
    Index("uq_task_outbox_task_id", "task_id", unique=True),
    Index("ix_task_outbox_turn", "queue", "requester", "id"),
    postgresql_with=QUEUE_LIKE,
)

event_outbox = Table(
    "event_outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("lane", SmallInteger, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("subject", Uuid, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("happened_at", MOMENT, nullable=False, server_default=func.clock_timestamp()),
    Column("traceparent", Text),
    Column("body", JSONB, nullable=False),
    Column("failures", SmallInteger, nullable=False, server_default="0"),
    Index("ix_event_outbox_lane", "lane", "id"),
    postgresql_with=QUEUE_LIKE,
)

event_numbers = Table(
    "event_numbers",
    metadata,
    Column("subject", Uuid, primary_key=True),
    Column("last", BigInteger, nullable=False),
    postgresql_with={"fillfactor": "70"},
)

outbox_failed = Table(
    "outbox_failed",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("outbox", Text, nullable=False),
    Column("row", JSONB, nullable=False),
    Column("failed_at", MOMENT, nullable=False, server_default=func.clock_timestamp()),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("ids", ARRAY(Uuid), nullable=False),
    Column("created_at", MOMENT, nullable=False, server_default=func.clock_timestamp()),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("message_id", Text),
    Column("routing_key", Text),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("is_text", Boolean, nullable=False),
    Column("content_type", Text),
    Column("properties", LargeBinary),
    Column("dead_at", MOMENT, nullable=False, server_default=func.clock_timestamp()),
    Column("replayed_at", MOMENT),
    Index("ix_dead_letters_dead_at", text("dead_at desc"), text("id desc")),
    Index("ix_dead_letters_reason", "reason", text("dead_at desc"), text("id desc")),
)

replay_outbox = Table(
    "replay_outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("letter_id", Uuid, nullable=False),
    Column("queue", Text, nullable=False),
    Column("message_id", Text),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("content_type", Text),
    Column("properties", LargeBinary),
    Column("failures", SmallInteger, nullable=False, server_default="0"),
    Column("created_at", MOMENT, nullable=False, server_default=func.clock_timestamp()),
    Index("uq_replay_outbox_letter_id", "letter_id", unique=True),
    Index("ix_replay_outbox_queue", "queue", "id"),
    postgresql_with=QUEUE_LIKE,
)
