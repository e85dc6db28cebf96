"""Users are searched by address, name, role and status."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create extension if not exists pg_trgm")
    op.add_column("users", sa.Column("search_key", sa.Text(), nullable=True))
    op.execute("update users set search_key = lower(E'\\n' || email_key || E'\\n' || display_name)")
    op.alter_column("users", "search_key", nullable=False)
    op.create_index(
        "ix_users_search",
        "users",
        ["search_key"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_key": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_users_disabled", "users", ["id"], unique=False, postgresql_where=sa.text("status = 'disabled'")
    )
    op.drop_index("ix_user_roles_role", table_name="user_roles")
    op.create_index("ix_user_roles_role", "user_roles", ["role", "user_id"], unique=False)


def downgrade() -> None:
    # pg_trgm stays: it may have been there before, and others may use it by now.
    op.drop_index("ix_user_roles_role", table_name="user_roles")
    op.create_index("ix_user_roles_role", "user_roles", ["role"], unique=False)
    op.drop_index("ix_users_disabled", table_name="users", postgresql_where=sa.text("status = 'disabled'"))
    op.drop_index("ix_users_search", table_name="users", postgresql_using="gin")
    op.drop_column("users", "search_key")
