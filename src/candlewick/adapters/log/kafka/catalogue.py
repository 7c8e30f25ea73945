"""Topics on the brokers as the catalogue says: what differs, and making it so."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters._kafka.names import DEAD_LETTER_PARTITIONS
from candlewick.adapters._kafka.options import OVERHEAD_BYTES, KafkaOptions
from candlewick.adapters.log.kafka.epochs import LEDGER, LEDGER_SETTINGS
from candlewick.contracts.topics import Topic, dead_letters

_REPLICAS = 3
_SPREAD_S = 30.0
_STEP_S = 0.1
_DEAD_LETTERS_S = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be. ``found`` None: it is not there. ``can_apply`` False: it cannot be
    changed in place, and ``advice`` says what to do."""

    topic: str
    what: str
    found: str | None
    wanted: str
    can_apply: bool = True
    advice: str = ""


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """A topic as it should be; ``name`` on the brokers."""

    name: str
    partitions: int
    replicas: int
    settings: dict[str, str]


def wanted(topics: Sequence[Topic], brokers: int, options: KafkaOptions) -> list[WantedTopic]:
    """Every topic, its dead letters, and the ledger of epochs, on so many brokers."""
    replicas = min(_REPLICAS, brokers)
    common = {
        "min.insync.replicas": "2" if replicas >= _REPLICAS else "1",
        # Order by the log's own time is what seeking by time promises.
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(options.record_bytes + OVERHEAD_BYTES),
        # A replica that was not in sync has not all that was acknowledged.
        "unclean.leader.election.enable": "false",
    }
    found = []
    for topic in topics:
        for name, kept_s in ((topic.name, topic.retention_s), (dead_letters(topic.name), _DEAD_LETTERS_S)):
            cleanup = topic.cleanup if name == topic.name else "delete"
            settings = {"cleanup.policy": cleanup, "retention.ms": str(kept_s * 1000) if cleanup == "delete" else "-1"}
            partitions = topic.partitions if name == topic.name else DEAD_LETTER_PARTITIONS
            found.append(WantedTopic(options.prefix + name, partitions, replicas, settings | common))
    found.append(WantedTopic(options.prefix + LEDGER, 1, replicas, LEDGER_SETTINGS | common))
    return found


class KafkaTopics:
    """Asked and changed over one client. Methods wait; called on a thread. Raises LogUnavailable, KafkaRefused."""

    def __init__(self, brokers: str, topics: Sequence[Topic], options: KafkaOptions | None = None) -> None:
        """``brokers`` is ``host:port`` divided by commas."""
        self._options = options or KafkaOptions()
        self._topics = tuple(topics)
        self._admin = Admin(brokers, self._options)

    def differences(self) -> list[Difference]:
        """In the order of the catalogue; empty when all is as it should be."""
        should = wanted(self._topics, self._admin.brokers(), self._options)
        there = self._admin.topics([topic.name for topic in should])
        settings = self._admin.settings(sorted(there))
        found: list[Difference] = []
        for topic in should:
            if topic.name not in settings:
                kept = topic.settings["retention.ms"]
                found.append(
                    Difference(
                        topic.name,
                        "topic",
                        None,
                        f"{topic.partitions} partitions, {topic.replicas} replicas, {topic.settings['cleanup.policy']}"
                        + (f", kept {int(kept) // 1000} s" if int(kept) >= 0 else ", kept"),
                    )
                )
                continue
            found += _shape(topic, there[topic.name].partitions)
            found += [
                Difference(topic.name, key, settings[topic.name].get(key), value)
                for key, value in topic.settings.items()
                if settings[topic.name].get(key) != value
            ]
        return found

    def apply(self) -> list[Difference]:
        """Make it so. Returns what still differs, above all what cannot be changed in place."""
        should = {topic.name: topic for topic in wanted(self._topics, self._admin.brokers(), self._options)}
        differences = self.differences()
        missing = [should[one.topic] for one in differences if one.what == "topic"]
        self._admin.create([(topic.name, topic.partitions, topic.replicas, topic.settings) for topic in missing])
        changes: dict[str, dict[str, str | None]] = {}
        for one in differences:
            if one.can_apply and one.what != "topic":
                changes.setdefault(one.topic, {})[one.what] = one.wanted
        self._admin.alter(changes)
        # Brokers learn of many new partitions one by one; whoever opens the log next must find them.
        left = self.differences() if differences else []
        deadline = time.monotonic() + _SPREAD_S
        while any(one.can_apply for one in left) and time.monotonic() < deadline:
            time.sleep(_STEP_S)
            left = self.differences()
        return left

    def delete(self) -> None:
        """Every topic of the catalogue that is there, and all they hold. For tests."""
        names = [topic.name for topic in wanted(self._topics, 1, self._options)]
        self._admin.delete(sorted(self._admin.topics(names)))


def _shape(topic: WantedTopic, partitions: Sequence[object]) -> list[Difference]:
    found = []
    if len(partitions) != topic.partitions:
        found.append(
            Difference(
                topic.name,
                "partitions",
                str(len(partitions)),
                str(topic.partitions),
                can_apply=False,
                advice="A key's partition would change: make a topic of a new name and replay into it.",
            )
        )
    replicas = {len(partition.replicas) for partition in partitions}  # type: ignore[attr-defined]
    if replicas != {topic.replicas}:
        found.append(
            Difference(
                topic.name,
                "replicas",
                "/".join(map(str, sorted(replicas))),
                str(topic.replicas),
                can_apply=False,
                advice="Move replicas with kafka-reassign-partitions.",
            )
        )
    return found
