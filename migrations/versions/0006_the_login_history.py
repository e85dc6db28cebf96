"""The login history."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "logins",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("ip", sa.Text(), nullable=True),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_logins_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_logins"),
    )
    op.create_index("ix_logins_user_id", "logins", ["user_id", "at", "id"])
    op.create_index(
        "ix_logins_known",
        "logins",
        ["user_id", "network", "at"],
        postgresql_where=sa.text("outcome = 'success'"),
    )
    op.create_index(
        "uq_logins_throttled",
        "logins",
        ["user_id", sa.text("date_trunc('minute'::text, (at AT TIME ZONE 'UTC'::text))")],
        unique=True,
        postgresql_where=sa.text("outcome = 'throttled'"),
    )


def downgrade() -> None:
    op.drop_table("logins")
