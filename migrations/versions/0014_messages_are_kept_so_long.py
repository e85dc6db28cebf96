"""A chat knows from which place on its messages are still kept."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chat_heads", sa.Column("first_seq", sa.BigInteger(), server_default="1", nullable=False))
    op.add_column(
        "chat_heads", sa.Column("forgotten_rev", sa.BigInteger(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("chat_heads", "forgotten_rev")
    op.drop_column("chat_heads", "first_seq")
