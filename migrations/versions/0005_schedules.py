"""Schedules: cron lines that make tasks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("secrets", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_task_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("priority in ('high', 'default', 'low')", name=op.f("ck_schedules_priority")),
        sa.CheckConstraint("enabled = (next_run_at is not null)", name=op.f("ck_schedules_planned")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "ix_schedules_created",
        "schedules",
        [sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        unique=False,
    )
    op.create_index(
        "ix_schedules_due",
        "schedules",
        ["next_run_at"],
        unique=False,
        postgresql_where=sa.text("next_run_at is not null"),
    )
    op.create_index(
        "ix_schedules_owner",
        "schedules",
        ["owner_id", sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("ix_schedules_owner", table_name="schedules")
    op.drop_index(
        "ix_schedules_due", table_name="schedules", postgresql_where=sa.text("next_run_at is not null")
    )
    op.drop_index("ix_schedules_created", table_name="schedules")
    op.drop_table("schedules")
