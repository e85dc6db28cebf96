"""PostgreSQL behind the ports, with SQLAlchemy Core and asyncpg."""
