"""A service's database on a PostgreSQL server."""

from candlewick.adapters.db.postgres.database import PostgresDatabase

__all__ = ["PostgresDatabase"]
