"""Parties: members, invitations and bans."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "parties",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(collation="C"), nullable=False),
        sa.Column("name_grams", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("member_count", sa.Integer(), nullable=False),
        sa.Column("chat_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("visibility in ('public', 'private')", name=op.f("ck_parties_visibility")),
        sa.CheckConstraint("member_count between 0 and capacity", name=op.f("ck_parties_seats")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parties")),
        postgresql_with={"fillfactor": "90"},
    )
    op.create_index(
        "ix_parties_grams",
        "parties",
        ["name_grams"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"name_grams": "gin_trgm_ops"},
        postgresql_with={"fastupdate": "off"},
    )
    op.create_index(
        "ix_parties_members",
        "parties",
        ["visibility", sa.literal_column("member_count desc"), sa.literal_column("id desc")],
        unique=False,
    )
    op.create_index(
        "ix_parties_name",
        "parties",
        ["visibility", "name_key", "id"],
        unique=False,
    )
    op.create_index(
        "ix_parties_new",
        "parties",
        ["visibility", sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        unique=False,
    )
    op.create_table(
        "party_bans",
        sa.Column("party_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("banned_by", sa.Uuid(), nullable=True),
        sa.Column("banned_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["party_id"], ["parties.id"], name=op.f("fk_party_bans_party_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("party_id", "user_id", name=op.f("pk_party_bans")),
    )
    op.create_table(
        "party_invitations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("party_id", sa.Uuid(), nullable=False),
        sa.Column("inviter_id", sa.Uuid(), nullable=False),
        sa.Column("guest_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status in ('pending', 'accepted', 'declined', 'revoked', 'expired')",
            name=op.f("ck_party_invitations_status"),
        ),
        sa.ForeignKeyConstraint(
            ["party_id"], ["parties.id"], name=op.f("fk_party_invitations_party_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_party_invitations")),
    )
    op.create_index("ix_party_invitations_expires", "party_invitations", ["expires_at"], unique=False)
    op.create_index(
        "ix_party_invitations_guest",
        "party_invitations",
        ["guest_id", sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        unique=False,
    )
    op.create_index("ix_party_invitations_party", "party_invitations", ["party_id"], unique=False)
    op.create_index(
        "uq_party_invitations_pending",
        "party_invitations",
        ["guest_id", "party_id"],
        unique=True,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "party_members",
        sa.Column("party_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role in ('owner', 'officer', 'member')", name=op.f("ck_party_members_role")),
        sa.ForeignKeyConstraint(
            ["party_id"], ["parties.id"], name=op.f("fk_party_members_party_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("party_id", "user_id", name=op.f("pk_party_members")),
    )
    op.create_index(
        "ix_party_members_joined", "party_members", ["party_id", "joined_at", "user_id"], unique=False
    )
    op.create_index("ix_party_members_user", "party_members", ["user_id", "party_id"], unique=False)
    op.create_index(
        "uq_party_members_owner",
        "party_members",
        ["party_id"],
        unique=True,
        postgresql_where=sa.text("role = 'owner'"),
    )


def downgrade() -> None:
    op.drop_index(
        "uq_party_members_owner", table_name="party_members", postgresql_where=sa.text("role = 'owner'")
    )
    op.drop_index("ix_party_members_user", table_name="party_members")
    op.drop_index("ix_party_members_joined", table_name="party_members")
    op.drop_table("party_members")
    op.drop_index(
        "uq_party_invitations_pending",
        table_name="party_invitations",
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_index("ix_party_invitations_party", table_name="party_invitations")
    op.drop_index("ix_party_invitations_guest", table_name="party_invitations")
    op.drop_index("ix_party_invitations_expires", table_name="party_invitations")
    op.drop_table("party_invitations")
    op.drop_table("party_bans")
    op.drop_index("ix_parties_new", table_name="parties")
    op.drop_index("ix_parties_name", table_name="parties")
    op.drop_index("ix_parties_members", table_name="parties")
    op.drop_index(
        "ix_parties_grams",
        table_name="parties",
        postgresql_using="gin",
        postgresql_ops={"name_grams": "gin_trgm_ops"},
        postgresql_with={"fastupdate": "off"},
    )
    op.drop_table("parties")
