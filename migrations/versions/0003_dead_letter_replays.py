"""Dead letters keep their properties and can be replayed, through an outbox of their own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dead_letters", sa.Column("properties", sa.LargeBinary(), nullable=True))
    op.create_index(
        "ix_dead_letters_reason",
        "dead_letters",
        ["reason", sa.literal_column("dead_at desc"), sa.literal_column("id desc")],
        unique=False,
    )
    op.create_table(
        "replay_outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("letter_id", sa.Uuid(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("properties", sa.LargeBinary(), nullable=True),
        sa.Column("failures", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replay_outbox")),
        postgresql_with={
            "fillfactor": "70",
            "autovacuum_vacuum_scale_factor": "0.02",
            "autovacuum_vacuum_cost_delay": "0",
        },
    )
    op.create_index("ix_replay_outbox_queue", "replay_outbox", ["queue", "id"], unique=False)
    op.create_index("uq_replay_outbox_letter_id", "replay_outbox", ["letter_id"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_replay_outbox_letter_id", table_name="replay_outbox")
    op.drop_index("ix_replay_outbox_queue", table_name="replay_outbox")
    op.drop_table("replay_outbox")
    op.drop_index("ix_dead_letters_reason", table_name="dead_letters")
    op.drop_column("dead_letters", "properties")
