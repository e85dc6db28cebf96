"""What a transaction leaves to be published, and what it has answered."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from parlor.adapters.sql.tables.base import MOMENT, QUEUE_LIKE, metadata

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
