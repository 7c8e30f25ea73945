"""Commands among the processes of one machine, kept in one SQLite file."""

from candlewick.adapters.queue.memory.queue import MemoryQueue

__all__ = ["MemoryQueue"]
