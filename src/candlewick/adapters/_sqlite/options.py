"""What the log's file may be told: how sure a commit is, how much is kept, how much may wait."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogOptions:
    """``durable``: every commit is synced (3 to 12 times slower); without, a power loss may take the last commits (a
    killed process never does). ``retention_s`` and ``retention_bytes`` bound what is kept of all topics together; a
    topic's own retention counts where it is shorter. ``max_pages`` bounds the file (4 kB pages)."""

    durable: bool = False
    queue_bytes: int = 32 << 20
    group_bytes: int = 4 << 20
    record_bytes: int = 16 << 20
    retention_s: float = 86_400.0
    retention_bytes: int = 2 << 30
    lease_s: float = 3.0
    poll_within_s: float = 60.0
    busy_s: float = 5.0
    max_pages: int | None = None
