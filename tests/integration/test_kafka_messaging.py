"""LAWS 13 and 14 on the cluster's own pair: inbox, outbox, relay and followers over Kafka and PostgreSQL."""

import pytest

from candlewick.adapters.log.kafka import KafkaEventLog
from candlewick.contracts.topics import COLLECTOR_GAPS, HISTORY_GAPS
from candlewick.kernel.system import SystemClock, SystemIds
from tests.integration import test_postgres_messaging
from tests.kafka import BROKERS, needs_kafka, own_topics
from tests.postgres import free_database, needs_postgres, new_database
from tests.unit.app.test_messaging import *  # noqa: F403 (the very same tests, on another bench)

pytestmark = [needs_kafka, needs_postgres, pytest.mark.slow]
TOPICS = (COLLECTOR_GAPS, HISTORY_GAPS)


@pytest.fixture
async def bench(tmp_path):
    names = {service: await new_database() for service in ("collector", "history", "notify")}
    with own_topics(TOPICS) as (topics, options):
        topics.apply()
        made = test_postgres_messaging.PostgresBench(tmp_path, names)
        made.log = KafkaEventLog(str(BROKERS), SystemClock(), SystemIds(), topics=TOPICS, options=options)
        await made.log.open()
        yield made
        await made.log.close()
    for name in names.values():
        await free_database(name)
    assert made.failures == []
