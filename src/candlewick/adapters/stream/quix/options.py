"""What the runtime on Quix Streams may be told beside ``KafkaOptions``."""

from dataclasses import dataclass
from typing import Final

from candlewick.adapters._kafka.options import OVERHEAD_BYTES, KafkaOptions

#: Behind the names of topics on which an operator only shows what it would write.
SHADOW: Final = ".shadow"
_REPLICAS_SAFE = 3


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """A commit comes when nothing more is there to be read, or after ``commit_s`` (longer where a commit itself takes
    long) or ``commit_messages``.
    ``changelog_replicas`` None: as many as the input topic has. ``changelog_segment_bytes``: only closed segments are
    compacted, so it bounds what a cold start reads beside the state itself. ``changelog_dirty_ratio``: compaction
    begins at this share of dirt. ``write_buffer_bytes`` and ``block_cache_bytes`` are RocksDB's, for each partition."""

    commit_s: float = 0.05
    commit_messages: int = 2048
    poll_s: float = 0.02
    changelog_replicas: int | None = None
    changelog_segment_bytes: int = 64 << 20
    changelog_dirty_ratio: float = 0.3
    write_buffer_bytes: int = 4 << 20
    block_cache_bytes: int = 8 << 20


def group_of(operator: str) -> str:
    """Where an operator keeps positions and state unless it is told otherwise."""
    return f"stream.{operator}"


def changelog_of(group: str, topic: str) -> str:
    """The changelog's name on the brokers; both names given are the brokers' own, with the prefix in front."""
    return f"{group}--{topic}--state"


def changelog_settings(kafka: KafkaOptions, stream: StreamOptions, replicas: int) -> dict[str, str]:
    """Of a changelog on so many replicas."""
    return {
        "cleanup.policy": "compact",
        "min.insync.replicas": "2" if replicas >= _REPLICAS_SAFE else "1",
        "segment.bytes": str(stream.changelog_segment_bytes),
        "min.cleanable.dirty.ratio": str(stream.changelog_dirty_ratio),
        "max.message.bytes": str(kafka.record_bytes + OVERHEAD_BYTES),
        "unclean.leader.election.enable": "false",
    }
