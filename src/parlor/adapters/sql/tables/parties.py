"""Parties, who is in them, who is invited, and who is kept out."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)

from parlor.adapters.sql.tables.base import MOMENT, metadata

parties = Table(
    "parties",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text(collation="C"), nullable=False),
    Column("name_grams", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("visibility", Text, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("owner_id", Uuid, nullable=False),
    Column("member_count", Integer, nullable=False),
    Column("chat_id", Uuid, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("visibility in ('public', 'private')", name="visibility"),
    CheckConstraint("member_count between 0 and capacity", name="seats"),
    Index("ix_parties_new", "visibility", text("created_at desc"), text("id desc")),
    Index("ix_parties_members", "visibility", text("member_count desc"), text("id desc")),
    Index("ix_parties_name", "visibility", "name_key", "id"),
    Index(
        "ix_parties_grams",
        "name_grams",
        postgresql_using="gin",
        postgresql_ops={"name_grams": "gin_trgm_ops"},
        postgresql_with={"fastupdate": "off"},  # a long list of late entries would be read by every search
    ),
    postgresql_with={"fillfactor": "90"},
)

party_members = Table(
    "party_members",
    metadata,
    Column("party_id", Uuid, ForeignKey("parties.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Uuid, primary_key=True),
    Column("role", Text, nullable=False),
    Column("joined_at", MOMENT, nullable=False),
    CheckConstraint("role in ('owner', 'officer', 'member')", name="role"),
    Index("ix_party_members_user", "user_id", "party_id"),
    Index("ix_party_members_joined", "party_id", "joined_at", "user_id"),
    Index("uq_party_members_owner", "party_id", unique=True, postgresql_where=text("role = 'owner'")),
)

party_invitations = Table(
    "party_invitations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("party_id", Uuid, ForeignKey("parties.id", ondelete="CASCADE"), nullable=False),
    Column("inviter_id", Uuid, nullable=False),
    Column("guest_id", Uuid, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    CheckConstraint("status in ('pending', 'accepted', 'declined', 'revoked', 'expired')", name="status"),
    Index(
        "uq_party_invitations_pending",
        "guest_id",
        "party_id",
        unique=True,
        postgresql_where=text("status = 'pending'"),
    ),
    Index("ix_party_invitations_guest", "guest_id", text("created_at desc"), text("id desc")),
    Index("ix_party_invitations_party", "party_id"),
    Index("ix_party_invitations_expires", "expires_at"),
)

party_bans = Table(
    "party_bans",
    metadata,
    Column("party_id", Uuid, ForeignKey("parties.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Uuid, primary_key=True),
    Column("banned_by", Uuid),
    Column("banned_at", MOMENT, nullable=False),
)
