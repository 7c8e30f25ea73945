"""The compacted topics that Quix keeps state in: named with the installation's prefix in front, made before they are
asked for."""

import time
from typing import Any

from quixstreams.models import TopicAdmin, TopicConfig, TopicManager

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters._kafka.options import OVERHEAD_BYTES, KafkaOptions
from candlewick.adapters.stream.quix.options import StreamOptions
from candlewick.ports.log import LogUnavailable

_REPLICAS_SAFE = 3
_KNOWN_S = 10.0
_STEP_S = 0.05


def changelog_of(group: str, topic: str) -> str:
    """The changelog's name on the brokers; both names given are the brokers' own, with the prefix in front."""
    return f"{group}--{topic}--state"


class Changelogs(TopicManager):
    """Quix asks this for its topics."""

    def __init__(self, admin: Admin, brokers: str, group: str, kafka: KafkaOptions, stream: StreamOptions) -> None:
        settings = {key: value for key, value in kafka.common(brokers, "stream").items() if key != "bootstrap.servers"}
        super().__init__(
            topic_admin=TopicAdmin(brokers, extra_config=settings),
            consumer_group=group,
            timeout=kafka.answer_within_s,
            auto_create_topics=False,
        )
        self._ours = admin
        self._kafka = kafka
        self._stream = stream

    def _internal_name(self, topic_type: str, topic_name: str | None, suffix: str) -> str:
        assert topic_type == "changelog"
        assert topic_name is not None
        return changelog_of(self._consumer_group, topic_name)

    def changelog_topic(self, stream_id: str | None, store_name: str, config: TopicConfig) -> Any:
        """Make it where it is missing, and wait until the brokers know it."""
        replicas = self._stream.changelog_replicas or config.replication_factor or 1
        name = self._internal_name("changelog", stream_id, store_name)
        settings = {
            "cleanup.policy": "compact",
            "min.insync.replicas": "2" if replicas >= _REPLICAS_SAFE else "1",
            "segment.bytes": str(self._stream.changelog_segment_bytes),
            "min.cleanable.dirty.ratio": str(self._stream.changelog_dirty_ratio),
            "max.message.bytes": str(self._kafka.record_bytes + OVERHEAD_BYTES),
            "unclean.leader.election.enable": "false",
        }
        partitions = config.num_partitions or 1
        if name not in self._ours.topics([name]):
            self._ours.create([(name, partitions, replicas, settings)])
        deadline = time.monotonic() + _KNOWN_S
        while name not in self._ours.metadata().topics:
            if time.monotonic() > deadline:
                raise LogUnavailable(f"the changelog is not known to the brokers yet, was {name!r}")
            time.sleep(_STEP_S)
        return super().changelog_topic(
            stream_id=stream_id, store_name=store_name, config=TopicConfig(partitions, replicas, settings)
        )
