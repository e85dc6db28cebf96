"""Chats, who is in them, and what was written.

A message points at the chat's head, which its own statement has locked anyway, and not at the chat: so nobody who
writes waits for whoever renames, adds or removes.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from parlor.adapters.sql.tables.base import MOMENT, metadata

chats = Table(
    "chats",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("title", Text),
    Column("party_id", Uuid),
    Column("direct_key", Text),
    Column("member_count", Integer, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
    Column("version", Integer, nullable=False),
    CheckConstraint("kind in ('direct', 'group', 'party')", name="kind"),
    Index("uq_chats_direct_key", "direct_key", unique=True),
    Index(
        "uq_chats_party_id",
        "party_id",
        unique=True,
        postgresql_where=text("party_id is not null and ended_at is null"),
    ),
    Index("ix_chats_ended_at", "ended_at", postgresql_where=text("ended_at is not null")),
    postgresql_with={"fillfactor": "80"},
)

chat_heads = Table(
    "chat_heads",
    metadata,
    Column("chat_id", Uuid, ForeignKey("chats.id"), primary_key=True),
    Column("last_seq", BigInteger, nullable=False, server_default="0"),
    Column("last_rev", BigInteger, nullable=False, server_default="0"),
    Column("active_at", MOMENT, nullable=False),
    Column("first_seq", BigInteger, nullable=False, server_default="1"),
    Column("forgotten_rev", BigInteger, nullable=False, server_default="0"),
    postgresql_with={"fillfactor": "50", "autovacuum_vacuum_scale_factor": "0.05"},
)

messages = Table(
    "messages",
    metadata,
    Column("chat_id", Uuid, ForeignKey("chat_heads.chat_id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("author_id", Uuid),
    Column("kind", Text, nullable=False),
    Column("text", Text),
    Column("reply_to", Uuid),
    Column("client_id", Text),
    Column("reactions", JSONB, nullable=False, server_default="{}"),
    Column("created_at", MOMENT, nullable=False),
    Column("edited_at", MOMENT),
    Column("deleted_at", MOMENT),
    Column("found_by", TSVECTOR),
    CheckConstraint("kind in ('user', 'system')", name="kind"),
    CheckConstraint("(text is null) = (deleted_at is not null)", name="erased"),
    Index("uq_messages_id", "id", unique=True),
    Index("uq_messages_rev", "chat_id", "rev", unique=True),
    Index(
        "uq_messages_client_id",
        "chat_id",
        "author_id",
        "client_id",
        unique=True,
        postgresql_where=text("client_id is not null"),
    ),
    Index("ix_messages_found_by", "found_by", postgresql_using="gin"),
    postgresql_with={"autovacuum_vacuum_scale_factor": "0.05"},
)

chat_members = Table(
    "chat_members",
    metadata,
    Column("chat_id", Uuid, ForeignKey("chats.id"), primary_key=True),
    Column("user_id", Uuid, primary_key=True),
    Column("role", Text, nullable=False),
    Column("joined_at", MOMENT, nullable=False),
    Column("joined_seq", BigInteger, nullable=False),
    Column("read_seq", BigInteger, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("left_at", MOMENT),
    CheckConstraint("role in ('owner', 'member')", name="role"),
    Index("ix_chat_members_user_id", "user_id", "chat_id", postgresql_where=text("left_at is null")),
    Index("ix_chat_members_rev", "chat_id", "rev"),
    postgresql_with={"fillfactor": "70"},
)

reactions = Table(
    "reactions",
    metadata,
    Column("chat_id", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("user_id", Uuid, primary_key=True),
    Column("emoji", Text, primary_key=True),
    ForeignKeyConstraint(["chat_id", "seq"], ["messages.chat_id", "messages.seq"]),
)
