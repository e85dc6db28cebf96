"""Everything in one process: the embedded mode and the PostgreSQL that it brings along."""
