"""Questions to the brokers. Every method waits for the answer and is called on a thread."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, OffsetSpec

from candlewick.adapters._kafka.errors import cause, translated
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.ports.log import LogUnavailable

Place = tuple[str, int]
K = TypeVar("K")
EARLIEST: Final = OffsetSpec.earliest()
LATEST: Final = OffsetSpec.latest()

# A partition whose leader is changing, or that is so new that not every broker knows it.
_MOVING = frozenset({
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.FENCED_LEADER_EPOCH, KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError._TRANSPORT, KafkaError._NOENT,  # the last: a partition whose leader is not known yet
    KafkaError._TIMED_OUT,  # the leader that the client knows of is dead
})  # fmt: skip
_STEP_S = 0.02
# The client goes on waiting for a broker that is dead, and asks it again, until it is made anew. One that lives answers
# in milliseconds; one without a processor has more time at each further question.
_ASKED_S = 2.0
_SILENCE = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT})


class Admin:
    """One client, made at its first use. Names are the brokers' own. Raises LogUnavailable, KafkaRefused."""

    def __init__(self, brokers: str, options: KafkaOptions) -> None:
        self._settings = options.common(brokers, "admin")
        self._within_s = options.answer_within_s
        self._made: AdminClient | None = None

    @property
    def _client(self) -> AdminClient:
        if self._made is None:
            self._made = AdminClient(self._settings)
        return self._made

    def brokers(self) -> int:
        """How many answer."""
        asked = self._asked(lambda within_s: {None: self._client.describe_cluster(request_timeout=within_s)})
        return len(self._wait(asked[None], "asking the brokers").nodes)

    def topics(self, names: Sequence[str]) -> dict[str, Any]:
        """What the brokers say of each topic that is there."""
        if not names:
            return {}
        wanted, found = TopicCollection(list(names)), {}
        asked = self._asked(lambda within_s: self._client.describe_topics(wanted, request_timeout=within_s))
        for name, future in asked.items():
            try:
                found[name] = future.result(self._within_s)
            except (KafkaException, TimeoutError) as error:
                kind = cause(error)
                if kind is None or kind.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise _told(error, "describing topics") from None
        return found

    def settings(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Every setting of each topic, those left out that the broker asked has not heard of yet."""
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        if not resources:
            return {}
        asked = self._asked(lambda within_s: self._client.describe_configs(resources, request_timeout=within_s))
        found = {}
        for resource, future in asked.items():
            entries = self._wait(future, "reading settings", but=KafkaError.UNKNOWN_TOPIC_OR_PART)
            if entries is not None:
                found[resource.name] = {key: entry.value for key, entry in entries.items()}
        return found

    def create(self, topics: Iterable[tuple[str, int, int, Mapping[str, str]]]) -> None:
        """Make topics of (name, partitions, replicas, settings); those that are there stay as they are."""
        wanted = [
            NewTopic(name, num_partitions=partitions, replication_factor=replicas, config=dict(settings))
            for name, partitions, replicas, settings in topics
        ]
        futures = self._client.create_topics(wanted, operation_timeout=self._within_s) if wanted else {}
        for future in futures.values():
            self._wait(future, "making a topic", but=KafkaError.TOPIC_ALREADY_EXISTS)

    def alter(self, changes: Mapping[str, Mapping[str, str | None]]) -> None:
        """Set settings of topics; None takes one back to the brokers' default."""
        resources = [
            ConfigResource(
                ConfigResource.Type.TOPIC,
                name,
                incremental_configs=[
                    ConfigEntry(key, value)
                    if value is not None
                    else ConfigEntry(key, "", incremental_operation=AlterConfigOpType.DELETE)
                    for key, value in settings.items()
                ],
            )
            for name, settings in changes.items()
        ]
        for resource in resources:
            for entry in resource.incremental_configs:
                entry.incremental_operation = entry.incremental_operation or AlterConfigOpType.SET
        futures = self._client.incremental_alter_configs(resources) if resources else {}
        for future in futures.values():
            self._wait(future, "changing settings")

    def delete(self, names: Sequence[str]) -> None:
        """Topics and all they hold."""
        futures = self._client.delete_topics(list(names), operation_timeout=self._within_s) if names else {}
        for future in futures.values():
            self._wait(future, "deleting a topic")

    def members(self, group: str) -> int:
        """How many are at work in a group; none in one that is not there."""
        future = self._client.describe_consumer_groups([group], request_timeout=self._within_s)[group]
        found = self._wait(future, "asking who is at work", but=KafkaError.GROUP_ID_NOT_FOUND)
        return 0 if found is None else len(found.members)

    def forget(self, groups: Sequence[str]) -> None:
        """Groups and their positions; nobody may be at work in them."""
        futures = self._client.delete_consumer_groups(list(groups), request_timeout=self._within_s) if groups else {}
        for future in futures.values():
            self._wait(future, "deleting a group", but=KafkaError.GROUP_ID_NOT_FOUND)

    def offsets(self, places: Iterable[Place], spec: OffsetSpec, *, visible: bool = True) -> dict[Place, int]:
        """An offset of each partition; ``visible``: the end lies before the oldest open transaction."""
        wanted = {TopicPartition(topic, partition): spec for topic, partition in places}
        if not wanted:
            return {}
        level = IsolationLevel.READ_COMMITTED if visible else IsolationLevel.READ_UNCOMMITTED
        found: dict[Place, int] = {}
        deadline, asked_s = time.monotonic() + self._within_s, _ASKED_S
        while wanted:
            within_s, asked_s = min(asked_s, self._within_s), 2 * asked_s
            futures = self._client.list_offsets(wanted, isolation_level=level, request_timeout=within_s)
            for place, future in futures.items():
                try:
                    offset = future.result(2 * within_s).offset
                except (KafkaException, TimeoutError) as error:
                    kind = cause(error)
                    is_passing = kind.code() in _MOVING if kind is not None else isinstance(error, TimeoutError)
                    if not is_passing or time.monotonic() > deadline:
                        raise _told(error, "asking for offsets") from None
                else:
                    # Where the leader did not answer, the client says neither an offset nor an error.
                    if offset != OFFSET_INVALID:
                        found[place.topic, place.partition] = int(offset)
            wanted = {place: spec for place in wanted if (place.topic, place.partition) not in found}
            if wanted:
                if time.monotonic() > deadline:
                    left = next(iter(wanted))
                    raise LogUnavailable(
                        f"no broker says an offset of a partition, was {left.topic!r} {left.partition}"
                    )
                time.sleep(_STEP_S)
                # The client asks the leader that it knows of, and learns of a new one minutes later by itself.
                self._made = None
                self._look_again({place.topic for place in wanted})
        return found

    def _look_again(self, topics: Iterable[str]) -> None:
        """The client goes on asking the leader it knows, in the epoch it knows, until it is told to look."""
        for topic in topics:
            with contextlib.suppress(KafkaException):
                self._client.list_topics(topic, timeout=self._within_s)

    def delete_before(self, offsets: Mapping[Place, int]) -> None:
        """Records before these offsets leave."""
        wanted = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        if wanted:
            for future in self._client.delete_records(wanted, request_timeout=self._within_s).values():
                self._wait(future, "deleting old records")

    def metadata(self) -> Any:
        """Brokers, topics, and each partition's leader and replicas in sync."""
        try:
            return self._client.list_topics(timeout=self._within_s)
        except KafkaException as error:
            raise _told(error, "asking the brokers") from None

    def _asked(self, ask: Callable[[float], Mapping[K, "Future[Any]"]]) -> Mapping[K, "Future[Any]"]:
        """The answers to a question that changes nothing, put again while a broker is silent."""
        deadline, asked_s = time.monotonic() + self._within_s, _ASKED_S
        while True:
            within_s, asked_s = min(asked_s, self._within_s), 2 * asked_s
            futures = ask(within_s)
            if not any(_is_silence(future, 2 * within_s) for future in futures.values()) or time.monotonic() > deadline:
                return futures
            self._made = None

    def _wait(self, future: "Future[Any]", doing: str, *, but: int | None = None) -> Any:
        """The answer; None when it is the refusal ``but``, which is as good."""
        try:
            return future.result(2 * self._within_s)
        except (KafkaException, TimeoutError) as error:
            kind = cause(error)
            if but is None or kind is None or kind.code() != but:
                raise _told(error, doing) from None
            return None


def _is_silence(future: "Future[Any]", within_s: float) -> bool:
    try:
        future.result(within_s)
    except TimeoutError:
        return True
    except KafkaException as error:
        kind = cause(error)
        return kind is not None and kind.code() in _SILENCE
    return False


def _told(error: BaseException, doing: str) -> BaseException:
    if isinstance(error, TimeoutError):
        return translated(KafkaError(KafkaError._TIMED_OUT), doing)
    return translated(error, doing)
