"""The embedded stream runtime: a loop on the SQLite log, exactly once by one transaction a round."""

from candlewick.adapters.stream.sqlite.runtime import SqliteStreamRuntime

__all__ = ["SqliteStreamRuntime"]
