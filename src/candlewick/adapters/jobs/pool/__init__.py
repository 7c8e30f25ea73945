"""Jobs on the event loop or in processes of this machine, kept in one SQLite file."""

from candlewick.adapters.jobs.pool.pool import PoolJobs

__all__ = ["PoolJobs"]
