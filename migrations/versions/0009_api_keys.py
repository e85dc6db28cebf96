"""API keys: what services show."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("last_four", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("maker_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["maker_id"], ["users.id"], name="fk_api_keys_maker_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        postgresql_with={"fillfactor": "80"},
    )
    newest_first: list[sa.ColumnElement[object]] = [
        sa.literal_column("created_at desc"),
        sa.literal_column("id desc"),
    ]
    listed = sa.text("revoked_at is null")
    op.create_index("uq_api_keys_prefix", "api_keys", ["prefix"], unique=True)
    op.create_index("ix_api_keys_maker", "api_keys", ["maker_id", *newest_first], postgresql_where=listed)
    op.create_index("ix_api_keys_created", "api_keys", newest_first, postgresql_where=listed)
    op.create_index(
        "ix_api_keys_revoked",
        "api_keys",
        ["revoked_at"],
        postgresql_where=sa.text("revoked_at is not null"),
    )


def downgrade() -> None:
    op.drop_table("api_keys")
