"""The compacted topics that Quix keeps state in: named with the installation's prefix in front, made before they are
asked for, and asked for once a process: an engine that begins while a broker hangs must not wait for its answer."""

import time
from collections.abc import Callable
from typing import Any

from quixstreams.models import TopicAdmin, TopicConfig, TopicManager
from quixstreams.models.topics.exceptions import TopicNotFoundError

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters._kafka.errors import TopicsMissing
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.stream.quix.options import StreamOptions, changelog_of, changelog_settings

_KNOWN_S = 5.0
_STEP_S = 0.05


class _Asked(TopicAdmin):
    """Topics that were seen once are there."""

    def __init__(self, brokers: str, settings: dict[str, Any], known: dict[str, TopicConfig]) -> None:
        super().__init__(brokers, extra_config=settings)
        self._known = known

    def inspect_topics(self, topic_names: list[str], timeout: float = 30) -> dict[str, TopicConfig | None]:
        unknown = [name for name in topic_names if name not in self._known]
        if unknown:
            found = super().inspect_topics(unknown, timeout)
            self._known.update({name: config for name, config in found.items() if config is not None})
        return {name: self._known.get(name) for name in topic_names}


class Changelogs(TopicManager):
    """Quix asks this for its topics."""

    def __init__(
        self,
        admin: Admin,
        brokers: str,
        group: str,
        kafka: KafkaOptions,
        stream: StreamOptions,
        known: dict[str, TopicConfig],
    ) -> None:
        """``known``: what an engine before this one was told of topics; more is put in."""
        settings = {key: value for key, value in kafka.common(brokers, "stream").items() if key != "bootstrap.servers"}
        super().__init__(
            topic_admin=_Asked(brokers, settings, known),
            consumer_group=group,
            timeout=kafka.answer_within_s,
            auto_create_topics=False,
        )
        self._ours = admin
        self._kafka = kafka
        self._stream = stream
        self._known = known

    def _internal_name(self, topic_type: str, topic_name: str | None, suffix: str) -> str:
        assert topic_type == "changelog"
        assert topic_name is not None
        return changelog_of(self._consumer_group, topic_name)

    def changelog_topic(self, stream_id: str | None, store_name: str, config: TopicConfig) -> Any:
        """Make it where it is missing, and wait until the brokers know it."""
        replicas = self._stream.changelog_replicas or config.replication_factor or 1
        name = self._internal_name("changelog", stream_id, store_name)
        settings = changelog_settings(self._kafka, self._stream, replicas)
        partitions = config.num_partitions or 1
        if name not in self._known and name not in self._ours.topics([name]):
            self._ours.create([(name, partitions, replicas, settings)])
        wanted = TopicConfig(partitions, replicas, settings)
        return _found(lambda: super(Changelogs, self).changelog_topic(stream_id, store_name, wanted))

    def topic(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """One that is there; the product's topics are never made in passing."""
        return _found(lambda: super(Changelogs, self).topic(name, *args, **kwargs))


def _found(look: Callable[[], Any]) -> Any:
    """Brokers learn of a new topic one by one. Raises TopicsMissing."""
    deadline = time.monotonic() + _KNOWN_S
    while True:
        try:
            return look()
        except TopicNotFoundError as error:
            if time.monotonic() > deadline:
                raise TopicsMissing(str(error), hint="Run 'candlewick topics apply'") from None
            time.sleep(_STEP_S)
