"""API keys: of what their holders show, only the hash."""

from sqlalchemy import ARRAY, Column, ForeignKey, Index, LargeBinary, Table, Text, Uuid, text

from parlor.adapters.sql.tables.base import MOMENT, metadata

LISTED = text("revoked_at is null")

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("last_four", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("maker_id", Uuid, ForeignKey("users.id", ondelete="CASCADE")),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT),
    Column("revoked_at", MOMENT),
    Column("last_used_at", MOMENT),
    Index("uq_api_keys_prefix", "prefix", unique=True),
    Index("ix_api_keys_maker", "maker_id", text("created_at desc"), text("id desc"), postgresql_where=LISTED),
    Index("ix_api_keys_created", text("created_at desc"), text("id desc"), postgresql_where=LISTED),
    Index("ix_api_keys_revoked", "revoked_at", postgresql_where=text("revoked_at is not null")),
    postgresql_with={"fillfactor": "80"},
)
