"""The stream runtime on Quix Streams and Kafka: state in RocksDB and compacted changelogs, exactly once.

Quix Streams itself is imported when an operator starts: it takes seconds.
"""

from candlewick.adapters.stream.quix.options import SHADOW, StreamOptions, group_of
from candlewick.adapters.stream.quix.runtime import QuixStreamRuntime

__all__ = ["SHADOW", "QuixStreamRuntime", "StreamOptions", "group_of"]
