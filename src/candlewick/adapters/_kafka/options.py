"""What the Kafka client may be told."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from candlewick.adapters._kafka.names import HEADER
from candlewick.contracts.schemas import SCHEMA_HEADER
from candlewick.ports.log import NewRecord
from candlewick.ports.schemas import SchemaHeader

_CLIENT_LOG = logging.getLogger("candlewick.kafka.client")
_CLIENT_LOG.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """``prefix`` goes before every name on the brokers (topics, groups, ids), so that several installations share a
    cluster. ``session_s``: silence of a killed member's heartbeats after which others have its partitions; brokers
    take no less than 6 s unless told. ``poll_within_s``: the same for a member that lives but does not poll; not less
    than ``session_s``. ``transaction_s``: after it the broker aborts what a killed producer left open.
    ``schema_header`` gives what names a record's schema, for a header beside the envelope's; it is asked on the
    producer's thread. ``client``: settings of librdkafka beside ours, for TLS and SASL."""

    prefix: str = ""
    queue_bytes: int = 32 << 20
    fetch_bytes: int = 32 << 20
    record_bytes: int = 16 << 20
    linger_ms: float = 1.0
    compression: str = "lz4"
    send_within_s: float = 30.0
    answer_within_s: float = 10.0
    session_s: float = 6.0
    heartbeat_s: float = 0.5
    poll_within_s: float = 60.0
    transaction_s: float = 10.0
    schema_header: SchemaHeader | None = None
    client: Mapping[str, Any] = field(default_factory=dict)

    def headers(self, record: NewRecord) -> list[tuple[str, bytes]]:
        """The envelope and, where it is known, what names the schema [11]."""
        headers = [(HEADER, record.header)]
        if self.schema_header is not None and (schema := self.schema_header(record.topic, record.header)):
            headers.append((SCHEMA_HEADER, schema))
        return headers

    def common(self, brokers: str, name: str) -> dict[str, Any]:
        """Settings of every client."""
        return {
            "bootstrap.servers": brokers,
            "client.id": f"{self.prefix}{name}",
            # The default of 100 ms is waited inside every transaction (measured: 105 ms each, with 2 ms 4.4).
            "retry.backoff.ms": 2,
            "retry.backoff.max.ms": 100,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 500,
            # What is asked of a topic nobody asked of before waits for this; the default is 100 ms.
            "topic.metadata.refresh.fast.interval.ms": 10,
            "message.max.bytes": self.record_bytes + OVERHEAD_BYTES,
            # What happens to a connection is told by the calls that need it, not on standard error.
            "log_level": 2,
            **self.client,
        }

    def writing(self, brokers: str, name: str, transactional_id: str | None) -> dict[str, Any]:
        """Settings of a producer."""
        settings = {
            **self.common(brokers, name),
            # A producer that is fenced shouts on standard error; its caller is told by the call that fails.
            "logger": _CLIENT_LOG,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": self.linger_ms,
            "compression.type": self.compression,
            "delivery.timeout.ms": int(self.send_within_s * 1000),
            # Our own bound holds; the client's must never be the first to say no.
            "queue.buffering.max.kbytes": (self.queue_bytes + self.record_bytes) * 4 // 1024,
            "queue.buffering.max.messages": 10_000_000,
        }
        if transactional_id is not None:
            settings["transactional.id"] = f"{self.prefix}{transactional_id}"
            settings["transaction.timeout.ms"] = int(self.transaction_s * 1000)
            settings["delivery.timeout.ms"] = int(self.transaction_s * 1000)
            # A commit flushes by itself; lingering would only be added to it.
            settings["linger.ms"] = 0
        return settings

    def reading(self, brokers: str, name: str, group: str | None, member: str | None) -> dict[str, Any]:
        """Settings of a consumer; without ``group`` it takes its partitions itself and is in no group."""
        settings = {
            **self.common(brokers, name),
            "group.id": f"{self.prefix}{group or name}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # Told of the end, a client that takes many at once counts it as a record, and where a rebalance lets it go
            # on it goes on one too far, which is out of range (librdkafka 2.12.1).
            "enable.partition.eof": False,
            "check.crcs": True,
            # A seek waits for the fetch that is under way; a broker answers an empty one so often for each consumer.
            "fetch.wait.max.ms": 200,
            "fetch.queue.backoff.ms": 5,
            "fetch.error.backoff.ms": 20,
            "queued.max.messages.kbytes": max(self.fetch_bytes // 1024, 1),
            "fetch.max.bytes": max(self.fetch_bytes, self.record_bytes + OVERHEAD_BYTES),
            "receive.message.max.bytes": 2 * max(self.fetch_bytes, self.record_bytes + OVERHEAD_BYTES),
        }
        if group is not None:
            settings |= {
                "group.instance.id": member,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": int(self.session_s * 1000),
                "heartbeat.interval.ms": int(self.heartbeat_s * 1000),
                "max.poll.interval.ms": int(max(self.poll_within_s, self.session_s) * 1000),
            }
        return settings


#: What a batch adds to one record: key, header and the batch's own fields.
OVERHEAD_BYTES = 64 << 10
