"""Names of their own on real Kafka brokers, for tests; everything of theirs is deleted with the test."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from candlewick.adapters.log.kafka import KafkaOptions, KafkaTopics
from candlewick.contracts.topics import Topic
from candlewick.kernel.system import SystemIds
from candlewick.testing import servers

BROKERS = servers.address("kafka")
needs_kafka = pytest.mark.skipif(BROKERS is None, reason=servers.why_not("kafka") or "there")


@contextmanager
def own_topics(topics: tuple[Topic, ...]) -> Iterator[tuple[KafkaTopics, KafkaOptions]]:
    """Topics behind a prefix that nobody else has; not made yet."""
    assert BROKERS is not None
    options = KafkaOptions(prefix=f"test-{SystemIds().new().hex[-12:]}.")
    made = KafkaTopics(BROKERS, topics, options)
    try:
        yield made, options
    finally:
        made.delete()
