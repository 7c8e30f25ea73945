"""The event log on Apache Kafka, for services that run as processes of their own. ``KafkaEventLog`` keeps the port."""

from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.log.kafka.catalogue import Difference, KafkaTopics
from candlewick.adapters.log.kafka.event_log import KafkaEventLog

__all__ = ["Difference", "KafkaEventLog", "KafkaOptions", "KafkaTopics"]
