"""Failures, dead letters and sessions, as the operations page looks them up."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_dead_letters_waiting",
        "dead_letters",
        [sa.literal_column("dead_at desc"), sa.literal_column("id desc")],
        unique=False,
        postgresql_where=sa.text("replayed_at is null"),
    )
    op.create_index("ix_sessions_last_used_at", "sessions", ["last_used_at"], unique=False)
    op.create_index(
        "ix_tasks_failed_at",
        "tasks",
        [sa.literal_column("finished_at desc"), sa.literal_column("id desc")],
        unique=False,
        postgresql_where=sa.text("status = 'failed'"),
    )


def downgrade() -> None:
    op.drop_index("ix_tasks_failed_at", table_name="tasks", postgresql_where=sa.text("status = 'failed'"))
    op.drop_index("ix_sessions_last_used_at", table_name="sessions")
    op.drop_index(
        "ix_dead_letters_waiting", table_name="dead_letters", postgresql_where=sa.text("replayed_at is null")
    )
