"""Ways to break a stream runtime, each seen by the law that it breaks.

A fault changes what a sound engine is given or what is found of it, exactly as an engine with that fault would: state
that was never committed, an output made twice, a seat that is not given up.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from candlewick.contracts import codec
from candlewick.contracts.base import Message
from candlewick.contracts.operators import Operator, Step
from candlewick.kernel.errors import CandlewickError, Corrupt
from candlewick.ports.log import EventLog, Record
from candlewick.ports.stream import StreamRuntime, StreamStats
from candlewick.testing.conformance.stream_harness import DEAD, LATEST, OUTPUT, StreamHarness


class Fault:
    """The plain one breaks nothing. One instance lives as long as the storage."""

    def operator(self, operator: Operator, member: str) -> Operator:
        """What the engine is given in place of the operator."""
        return operator

    def member(self, member: str) -> str:
        """The name under which it joins."""
        return member

    def failed(self, error: BaseException, told: Callable[[BaseException], None]) -> None:
        told(error)

    def troubled(self, error: CandlewickError, told: Callable[[CandlewickError], None]) -> None:
        told(error)

    def stats(self, stats: StreamStats) -> StreamStats:
        return stats

    async def stop(self, harness: StreamHarness, runtime: StreamRuntime) -> None:
        await runtime.stop()

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        """What a reader finds."""
        return records


@dataclass
class _Wrapped:
    """An operator with a changed ``apply``."""

    inner: Operator
    change: Callable[[Step], Step] = lambda step: step
    begin: Callable[[bytes | None], bytes | None] = lambda hot: hot

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def cold_keys(self, hot: bytes | None, message: Message) -> Sequence[bytes]:
        return self.inner.cold_keys(self.begin(hot), message)

    def apply(self, hot: bytes | None, message: Message, cold: Mapping[bytes, bytes | None]) -> Step:
        return self.change(self.inner.apply(self.begin(hot), message, cold))


def _rewritten(record: Record, **changes: Any) -> Record:
    envelope = msgspec.structs.replace(codec.decode_envelope(record.header), **changes)
    return msgspec.structs.replace(record, header=codec.encode_envelope(envelope))


class RandomIds(Fault):
    """A replay would mint others."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        if topic != OUTPUT.name:
            return records
        return [_rewritten(record, id=UUID(int=n + 1)) for n, record in enumerate(records)]


class NoCause(Fault):
    """An output does not say what it was made from."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        return [_rewritten(record, causation_id=None) for record in records] if topic == OUTPUT.name else records


class OutputsTwice(Fault):
    """Sent again after a commit whose answer was lost."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        return records + records[-1:] if topic == OUTPUT.name else records


class OutputsLost(Fault):
    """Positions committed, outputs not."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        return records[:-1] if topic == OUTPUT.name else records


class OwnPartitioner(Fault):
    """A client's own choice in place of ours."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        if topic != OUTPUT.name:
            return records
        return [msgspec.structs.replace(one, partition=(one.partition + 1) % OUTPUT.partitions) for one in records]


class OutOfOrder(Fault):
    """Two requests in flight overtook each other."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        return records[::-1] if topic == OUTPUT.name else records


class NewestDropped(Fault):
    """Conflation that forgets what it holds when the round ends."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        return records[:-1] if topic == LATEST.name else records


class StateForgotten(Fault):
    """A restart begins from nothing: every life has its own first message of a key."""

    def operator(self, operator: Operator, member: str) -> Operator:
        seen: dict[int, bytes] = {}

        def begin(hot: bytes | None) -> bytes | None:
            return hot if seen else None

        def change(step: Step) -> Step:
            seen[0] = step.hot
            return step

        return _Wrapped(operator, change, begin)


class ColdStays(Fault):
    """Deleted entries come back."""

    def operator(self, operator: Operator, member: str) -> Operator:
        def change(step: Step) -> Step:
            return msgspec.structs.replace(step, cold={k: v for k, v in step.cold.items() if v is not None})

        return _Wrapped(operator, change)


class PoisonDropped(Fault):
    """What cannot be taken is skipped and nobody knows."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        return [] if topic == DEAD else records


class FatalSwallowed(Fault):
    """The unit goes on as if nothing was, and nobody is told."""

    def failed(self, error: BaseException, told: Callable[[BaseException], None]) -> None:
        """Not told."""


class TroubleUntold(Fault):
    """It waits in silence."""

    def troubled(self, error: CandlewickError, told: Callable[[CandlewickError], None]) -> None:
        """Not told."""


class StrictFields(Fault):
    """What this version does not know is a fault to it."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        return records[4:] if topic == OUTPUT.name else records


class Miscounted(Fault):
    """Rounds that were thrown away are counted too."""

    def stats(self, stats: StreamStats) -> StreamStats:
        return msgspec.structs.replace(stats, messages=stats.messages * 2)


class StaysSeated(Fault):
    """``stop`` keeps the seat until its time-out."""

    async def stop(self, harness: StreamHarness, runtime: StreamRuntime) -> None:
        await harness.crash(runtime)


class NewNameEachTime(Fault):
    """A restarted member is a stranger to its group, and waits for its own seat's time-out."""

    def __init__(self) -> None:
        self._lives = 0

    def member(self, member: str) -> str:
        self._lives += 1
        return f"{member}-{self._lives}"


class ZombieCommits(Fault):
    """What a paused member had in hand becomes true beside what the others did."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        if topic != OUTPUT.name:
            return records
        return records + [_rewritten(record, id=UUID(int=n + 1)) for n, record in enumerate(records[6:8])]


class FailsOnMoving(Fault):
    """A rebalance ends the operator."""

    def __init__(self) -> None:
        self._members = 0

    def operator(self, operator: Operator, member: str) -> Operator:
        self._members += 1

        def change(step: Step) -> Step:
            if self._members > 1:
                raise Corrupt("partitions moved")
            return step

        return _Wrapped(operator, change)


class NeverMoves(Fault):
    """The partitions of the dead are nobody's for ever: its messages are read and never answered."""

    def written(self, topic: str, records: list[Record]) -> list[Record]:
        return [one for one in records if b"S1-USDT" not in one.header] if topic == OUTPUT.name else records


@dataclass
class _Runtime:
    """A runtime with a fault."""

    harness: StreamHarness
    inner: StreamRuntime
    fault: Fault
    name: str

    async def start(
        self,
        operator: Operator,
        *,
        on_failure: Callable[[BaseException], None],
        on_trouble: Callable[[CandlewickError], None] = lambda _: None,
    ) -> None:
        await self.inner.start(
            self.fault.operator(operator, self.name),
            on_failure=lambda error: self.fault.failed(error, on_failure),
            on_trouble=lambda error: self.fault.troubled(error, on_trouble),
        )

    async def stop(self) -> None:
        await self.fault.stop(self.harness, self.inner)

    async def caught_up(self) -> None:
        await self.inner.caught_up()

    def stats(self) -> StreamStats:
        return self.fault.stats(self.inner.stats())


@dataclass
class FaultyHarness(StreamHarness):
    """A sound harness whose every runtime has the fault."""

    inner: StreamHarness
    fault: Fault = field(default_factory=Fault)

    def __post_init__(self) -> None:
        self.steps, self.killed = self.inner.steps, self.inner.killed
        self.member_timeout_s = self.inner.member_timeout_s

    async def log(self) -> EventLog:
        return await self.inner.log()

    async def runtime(self, member: str, on_step: Callable[[str], None]) -> StreamRuntime:
        runtime = await self.inner.runtime(self.fault.member(member), on_step)
        return _Runtime(self.inner, runtime, self.fault, member)

    async def crash(self, runtime: StreamRuntime) -> None:
        assert isinstance(runtime, _Runtime)
        await self.inner.crash(runtime.inner)

    async def lose_disk(self, member: str) -> None:
        await self.inner.lose_disk(member)

    def partition(self, record: Record) -> tuple[str, int, int]:
        return self.inner.partition(record)

    async def written(self, topic: Any) -> list[Record]:
        name = topic if isinstance(topic, str) else topic.name
        return self.fault.written(name, await self.inner.written(topic))


FAULTS: dict[str, tuple[type[Fault], ...]] = {
    "test_outputs_come_once_each_with_derived_ids_and_their_cause": (RandomIds, NoCause, OutputsTwice, OutputsLost),
    "test_outputs_lie_in_the_partition_of_their_key_in_the_order_of_its_inputs": (OwnPartitioner, OutOfOrder),
    "test_of_a_conflated_topic_the_newest_is_always_sent": (NewestDropped,),
    "test_state_goes_on_after_a_restart": (StateForgotten, ColdStays),
    "test_a_poison_goes_to_the_dead_letters_and_its_key_goes_on": (PoisonDropped,),
    "test_a_fatal_fault_is_reported_and_nothing_of_it_committed": (FatalSwallowed,),
    "test_what_may_pass_is_told_and_tried_again": (TroubleUntold,),
    "test_fields_of_a_newer_version_are_read_over": (StrictFields,),
    "test_stats_say_what_was_done": (Miscounted,),
    "test_a_crash_at_any_step_loses_nothing_and_doubles_nothing": (OutputsLost, OutputsTwice, StateForgotten),
    "test_members_share_partitions_and_hand_them_over_without_losing_count": (FailsOnMoving, Miscounted),
    "test_a_leaving_member_is_followed_at_once": (StaysSeated,),
    "test_a_killed_members_partitions_move_on": (NeverMoves,),
    "test_a_restarted_member_has_its_partitions_at_once": (NewNameEachTime,),
    "test_a_member_paused_past_its_time_commits_nothing_and_goes_on": (ZombieCommits,),
}
"""Test of the suite -> faults that it, run against a sound engine with the fault, must answer with AssertionError."""
