"""The event log on one SQLite file, for one process or several on one data dir. ``SqliteEventLog`` keeps the port."""

from candlewick.adapters._sqlite.logfile import LogOptions
from candlewick.adapters.log.sqlite.event_log import SqliteEventLog

__all__ = ["LogOptions", "SqliteEventLog"]
