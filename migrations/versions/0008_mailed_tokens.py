"""Accounts end, and mail brings tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_tokens",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_mail_tokens_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "purpose", name=op.f("pk_mail_tokens")),
    )
    op.create_index("ix_mail_tokens_expires_at", "mail_tokens", ["expires_at"], unique=False)
    op.create_index("uq_mail_tokens_fingerprint", "mail_tokens", ["fingerprint"], unique=True)
    op.create_index(
        "ix_sessions_over", "sessions", [sa.literal_column("coalesce(ended_at, expires_at)")], unique=False
    )
    op.add_column("users", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "deleted_at")
    op.drop_index("ix_sessions_over", table_name="sessions")
    op.drop_index("uq_mail_tokens_fingerprint", table_name="mail_tokens")
    op.drop_index("ix_mail_tokens_expires_at", table_name="mail_tokens")
    op.drop_table("mail_tokens")
