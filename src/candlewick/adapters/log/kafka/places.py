"""Offsets and positions of partitions, asked from the brokers. Every method waits and is called on a thread."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from confluent_kafka.admin import OffsetSpec

from candlewick.adapters._kafka.admin import EARLIEST, LATEST, Admin, Place
from candlewick.adapters._kafka.names import Names
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.log.kafka.fetching import Fetcher
from candlewick.kernel.clock import NS_PER_MS
from candlewick.ports.log import Position, Record

# How far back the newest record is looked for: the end of a transaction takes an offset and is no record.
_STEPS_BACK = (2, 32, 1024, 1 << 62)
Look = Callable[[Mapping[Place, int], Mapping[Place, int], int], list[Record]]


class Places:
    """Of one opened log."""

    def __init__(
        self, admin: Admin, names: Names, options: KafkaOptions, epochs: Mapping[str, int], look: Look
    ) -> None:
        """``epochs`` by names on the brokers. ``look(begins, ends, limit)`` reads records between offsets."""
        self.names = names
        self.options = options
        self.epochs = epochs
        self._admin = admin
        self._look = look

    def of(self, topics: Iterable[str]) -> list[Place]:
        """Every partition. Raises UnknownTopic."""
        return [(topic, number) for topic in topics for number in range(self.names.partitions(topic))]

    def epoch(self, topic: str) -> int:
        """Of a topic's life now."""
        return self.epochs.get(self.names.prefix + topic, 0)

    def offsets(self, places: Iterable[Place], spec: OffsetSpec, *, visible: bool = True) -> dict[Place, int]:
        """An offset of each partition."""
        there = [(self.names.prefix + topic, number) for topic, number in places]
        found = self._admin.offsets(there, spec, visible=visible)
        return {(self.names.here(topic), number): offset for (topic, number), offset in found.items()}

    def behind(self, place: Place, after: Position | None) -> int:
        """Where reading behind a position begins: the oldest kept when the position left, is of another life of the
        topic, or lies beyond what the brokers still have (all they have may be news then)."""
        low = self.offsets([place], EARLIEST)[place]
        if after is None or after.epoch != self.epoch(place[0]):
            return low
        wanted = after.offset + 1
        high = self.offsets([place], LATEST, visible=False)[place]
        return low if wanted > high else max(wanted, low)

    def offset_behind(self, place: Place, at: Position) -> int:
        """The offset a group goes on from; the first when the position is of an earlier life of the topic."""
        return at.offset + 1 if at.epoch == self.epoch(place[0]) else 0

    def since(self, places: Iterable[Place], ts_ns: int) -> dict[Place, int]:
        """The first offset appended at or after a time; brokers keep milliseconds."""
        wanted = list(places)
        # Asked first: what is appended between the two questions must not be jumped over.
        ends = self.offsets(wanted, LATEST)
        at_ms = max(-(-ts_ns // NS_PER_MS), 0)
        found = self.offsets(wanted, OffsetSpec.for_timestamp(at_ms))
        return {place: found[place] if found[place] >= 0 else ends[place] for place in wanted}

    def newest(self, places: Iterable[Place], known: Fetcher | None = None) -> dict[Place, Position]:
        """The newest visible record of each partition that has one."""
        wanted = list(places)
        ends = self.offsets(wanted, LATEST)
        lows = self.offsets(wanted, EARLIEST)
        found: dict[Place, Position] = {}
        open_: dict[Place, int] = {}
        for place, end in ends.items():
            last = known.last_of(place) if known is not None else None
            if end <= lows[place]:
                continue
            if known is not None and last is not None and known.place_of(place) >= end:
                found[place] = last
            else:
                open_[place] = end
        for step in _STEPS_BACK:
            if not open_:
                break
            begins = {place: max(end - step, lows[place]) for place, end in open_.items()}
            for record in self._look(begins, open_, 1 << 62):
                found[record.topic, record.partition] = record.position
            open_ = {place: end for place, end in open_.items() if place not in found and begins[place] > lows[place]}
        return found

    def sample(self, places: Sequence[Place], lows: Mapping[Place, int], highs: Mapping[Place, int]) -> list[Record]:
        """The oldest records of partitions that have any, a few of each."""
        ends = {place: min(lows[place] + 4, highs[place]) for place in places}
        return self._look({place: lows[place] for place in places}, ends, 1 << 62) if places else []
