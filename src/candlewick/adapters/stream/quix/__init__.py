"""The stream runtime on Quix Streams and Kafka: state in RocksDB and compacted changelogs, exactly once.

Quix Streams itself is imported when an operator starts: it takes seconds.
"""

from candlewick.adapters.stream.quix.options import StreamOptions
from candlewick.adapters.stream.quix.runtime import QuixStreamRuntime

__all__ = ["QuixStreamRuntime", "StreamOptions"]
