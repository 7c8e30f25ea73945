"""A service's database in one SQLite file."""

from candlewick.adapters.db.sqlite.database import SqliteDatabase

__all__ = ["SqliteDatabase"]
