"""Chats: who is in them, and what was written."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chats",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("party_id", sa.Uuid(), nullable=True),
        sa.Column("direct_key", sa.Text(), nullable=True),
        sa.Column("member_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind in ('direct', 'group', 'party')", name=op.f("ck_chats_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chats")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "ix_chats_ended_at",
        "chats",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("ended_at is not null"),
    )
    op.create_index("uq_chats_direct_key", "chats", ["direct_key"], unique=True)
    op.create_index(
        "uq_chats_party_id",
        "chats",
        ["party_id"],
        unique=True,
        postgresql_where=sa.text("party_id is not null and ended_at is null"),
    )
    op.create_table(
        "chat_heads",
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_rev", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("active_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name=op.f("fk_chat_heads_chat_id")),
        sa.PrimaryKeyConstraint("chat_id", name=op.f("pk_chat_heads")),
        postgresql_with={"fillfactor": "50", "autovacuum_vacuum_scale_factor": "0.05"},
    )
    op.create_table(
        "chat_members",
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("joined_seq", sa.BigInteger(), nullable=False),
        sa.Column("read_seq", sa.BigInteger(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role in ('owner', 'member')", name=op.f("ck_chat_members_role")),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name=op.f("fk_chat_members_chat_id")),
        sa.PrimaryKeyConstraint("chat_id", "user_id", name=op.f("pk_chat_members")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("ix_chat_members_rev", "chat_members", ["chat_id", "rev"], unique=False)
    op.create_index(
        "ix_chat_members_user_id",
        "chat_members",
        ["user_id", "chat_id"],
        unique=False,
        postgresql_where=sa.text("left_at is null"),
    )
    op.create_table(
        "messages",
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("reply_to", sa.Uuid(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("reactions", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found_by", postgresql.TSVECTOR(), nullable=True),
        sa.CheckConstraint("kind in ('user', 'system')", name=op.f("ck_messages_kind")),
        sa.CheckConstraint("(text is null) = (deleted_at is not null)", name=op.f("ck_messages_erased")),
        sa.ForeignKeyConstraint(["chat_id"], ["chat_heads.chat_id"], name=op.f("fk_messages_chat_id")),
        sa.PrimaryKeyConstraint("chat_id", "seq", name=op.f("pk_messages")),
        postgresql_with={"autovacuum_vacuum_scale_factor": "0.05"},
    )
    op.create_index("ix_messages_found_by", "messages", ["found_by"], unique=False, postgresql_using="gin")
    op.create_index(
        "uq_messages_client_id",
        "messages",
        ["chat_id", "author_id", "client_id"],
        unique=True,
        postgresql_where=sa.text("client_id is not null"),
    )
    op.create_index("uq_messages_id", "messages", ["id"], unique=True)
    op.create_index("uq_messages_rev", "messages", ["chat_id", "rev"], unique=True)
    op.create_table(
        "reactions",
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("emoji", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chat_id", "seq"], ["messages.chat_id", "messages.seq"], name=op.f("fk_reactions_chat_id_seq")
        ),
        sa.PrimaryKeyConstraint("chat_id", "seq", "user_id", "emoji", name=op.f("pk_reactions")),
    )


def downgrade() -> None:
    op.drop_table("reactions")
    op.drop_index("uq_messages_rev", table_name="messages")
    op.drop_index("uq_messages_id", table_name="messages")
    op.drop_index(
        "uq_messages_client_id", table_name="messages", postgresql_where=sa.text("client_id is not null")
    )
    op.drop_index("ix_messages_found_by", table_name="messages", postgresql_using="gin")
    op.drop_table("messages")
    op.drop_index(
        "ix_chat_members_user_id", table_name="chat_members", postgresql_where=sa.text("left_at is null")
    )
    op.drop_index("ix_chat_members_rev", table_name="chat_members")
    op.drop_table("chat_members")
    op.drop_table("chat_heads")
    op.drop_index(
        "uq_chats_party_id",
        table_name="chats",
        postgresql_where=sa.text("party_id is not null and ended_at is null"),
    )
    op.drop_index("uq_chats_direct_key", table_name="chats")
    op.drop_index("ix_chats_ended_at", table_name="chats", postgresql_where=sa.text("ended_at is not null"))
    op.drop_table("chats")
