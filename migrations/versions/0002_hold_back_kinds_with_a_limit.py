"""hold back kinds with a limit.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_tasks_held_back",
        "tasks",
        [
            "kind",
            sa.literal_column(
                "coalesce(user_id, requester_id, '00000000-0000-0000-0000-000000000000'::uuid)"
            ),
            sa.literal_column("array_position('{high,default,low}'::text[], priority)"),
            "created_at",
            "id",
        ],
        unique=False,
        postgresql_where=sa.text("status = 'queued' and queued_at is null"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_tasks_held_back",
        table_name="tasks",
        postgresql_where=sa.text("status = 'queued' and queued_at is null"),
    )
