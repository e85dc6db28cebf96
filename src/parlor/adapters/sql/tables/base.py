"""What all tables have in common."""

from sqlalchemy import DDL, DateTime, MetaData, event

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)
# Texts are searched by their trigrams.
TRIGRAMS = DDL("create extension if not exists pg_trgm")  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
event.listen(metadata, "before_create", TRIGRAMS)

MOMENT = DateTime(timezone=True)
QUEUE_LIKE = {
    "fillfactor": "70",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_cost_delay": "0",
}
