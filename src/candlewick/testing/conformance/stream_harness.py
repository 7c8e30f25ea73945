"""What the stream runtime's suite needs beside the port: an operator whose results show every fault, a log to feed it
from, and ways to kill a member, to freeze it and to take its disk."""

import asyncio
import contextlib
import struct
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from candlewick.contracts import codec, topics
from candlewick.contracts.base import Envelope, Message
from candlewick.contracts.collector import Progress
from candlewick.contracts.operators import DeadLetter, Operator, Output, Step
from candlewick.contracts.topics import Topic, dead_letters
from candlewick.kernel.errors import CandlewickError, Fatal, Retryable
from candlewick.kernel.hashing import murmur2
from candlewick.kernel.ids import uuid7
from candlewick.ports.log import EventLog, NewRecord, Record
from candlewick.ports.stream import StreamRuntime, StreamStopped
from candlewick.testing.conformance.log_harness import everything

INPUT = Topic("suite.input", "suite", (Progress,), 4, 3_600, "What the operator reads.")
OUTPUT = Topic("suite.output", "suite", (Progress,), 5, 3_600, "What it writes.")
LATEST = Topic(topics.OPEN_OHLCV.name, "suite", (Progress,), 3, 3_600, "What it writes and what is conflated.")
TOPICS = (INPUT, OUTPUT, LATEST)

POISON, FATAL, BUSY, REFUSED = 666, 667, 668, 669
# A state that could be taken for a time in front of a value: no engine may look into it.
_HOT = struct.Struct(">QQ")
_LOOKS_LIKE_A_TIME = 1_700_000_000_000
_RING = 3

# Far beyond what any engine needs, so that a slow machine does not look like a broken law.
PATIENCE_S = 120.0


class Tally:
    """Counts the messages of each key in hot state and keeps the last few in cold; answers each message twice with its
    count and what it said, and once more in a topic that is conflated. Its count tells of a loss, a double, a wrong
    order and a state that does not fit."""

    name = "tally"
    version = 3
    consumes = (INPUT.name,)
    produces = (OUTPUT.name, LATEST.name)

    def __init__(self) -> None:
        self.is_busy = True

    def cold_keys(self, hot: bytes | None, message: Message) -> Sequence[bytes]:
        return [b"%d" % i for i in range(_RING)]

    def apply(self, hot: bytes | None, message: Message, cold: Mapping[bytes, bytes | None]) -> Step:
        assert isinstance(message, Progress)
        looks, n = _HOT.unpack(hot) if hot is not None else (_LOOKS_LIKE_A_TIME, 0)
        assert looks == _LOOKS_LIKE_A_TIME, looks
        ring = {b"%d" % (i % _RING): b"%d" % i for i in range(max(n - 1, 1), n + 1)}
        found = {name: value for name, value in cold.items() if value is not None}
        assert found == ring, f"after {n} the cold state must be {ring}, was {found}"
        said = message.complete_through
        if said == POISON:
            raise ValueError("cannot bear this one")
        if said == FATAL:
            raise Fatal("nothing can go on")
        if said == BUSY and self.is_busy:
            self.is_busy = False
            raise Retryable("not just now")
        n += 1
        answer = Progress(message.exchange, message.symbol, n, said, True)
        outputs = [Output(OUTPUT.name, answer, n), Output(OUTPUT.name, answer, n), Output(LATEST.name, answer, n)]
        dead = (DeadLetter("SUITE_REFUSED", "not this one", message),) if said == REFUSED else ()
        changes = {b"%d" % (n % _RING): b"%d" % n, b"%d" % ((n + 1) % _RING): None}
        return Step(_HOT.pack(looks, n), changes, outputs, dead, {"n": 1})


class Running(NamedTuple):
    """A runtime that was started, and what it has told since."""

    runtime: StreamRuntime
    failures: list[BaseException]
    troubles: list[CandlewickError]

    async def caught_up(self) -> None:
        """AssertionError when it takes longer than anything should, or ended before."""
        try:
            await asyncio.wait_for(self.runtime.caught_up(), PATIENCE_S)
        except (TimeoutError, StreamStopped) as error:
            raise AssertionError(f"all must be done, was {error!r} after {self.failures}") from error


class StreamHarness:
    """Bind an engine by overriding these. All runtimes share one storage, as processes would."""

    steps: Sequence[str] = ("read", "decoded", "applied", "submitting", "submitted", "committed")
    """Where ``on_step`` is called; raising ``killed`` there ends the engine on the spot."""
    killed: type[BaseException] = BaseException
    member_timeout_s: float = 10.0
    """How long a member may be silent before others have its partitions."""

    async def log(self) -> EventLog:
        """The log that runtimes read and write, with ``TOPICS``; always the same one."""
        raise NotImplementedError

    async def runtime(self, member: str, on_step: Callable[[str], None]) -> StreamRuntime:
        """A member of the one group, not started."""
        raise NotImplementedError

    async def crash(self, runtime: StreamRuntime) -> None:
        """As kill -9 would: nothing more is committed, nothing is said to anybody."""
        raise NotImplementedError

    async def lose_disk(self, member: str) -> None:
        """What a member that is not running kept outside the log is gone."""

    def partition(self, record: Record) -> tuple[str, int, int]:
        """Topic, partition and offset that derived ids are made from."""
        return record.topic, record.partition, record.position.offset

    async def start(
        self, member: str = "a", *, operator: Operator | None = None, on_step: Callable[[str], None] | None = None
    ) -> Running:
        """One more member at work."""
        runtime = await self.runtime(member, on_step or (lambda _: None))
        running = Running(runtime, [], [])
        await runtime.start(operator or Tally(), on_failure=running.failures.append, on_trouble=running.troubles.append)
        return running

    async def write(self, records: Iterable[NewRecord]) -> None:
        """Append as another service would."""
        log = await self.log()
        producer = await log.producer("suite")
        await producer.send(list(records))
        await producer.close()

    async def written(self, topic: Topic | str) -> list[Record]:
        """All that a new reader sees, oldest first per partition."""
        name = topic if isinstance(topic, str) else topic.name
        return await everything(await self.log(), Topic(name, "", (), 1, 1, ""))


def said(symbol: str, *numbers: int, value: bytes | None = None) -> list[NewRecord]:
    """Messages of one key. ``value`` in place of their bytes."""
    found = []
    for number in numbers:
        message = Progress("suite", symbol, number, 0, True)
        header = Envelope(
            uuid7(5, murmur2(symbol.encode()) << 32 | number),
            "Progress",
            1,
            2,
            message.key,
            "suite",
            correlation_id=UUID(int=number + 1),
        )
        content = codec.encode(message) if value is None else value
        found.append(NewRecord(INPUT.name, message.key, content, codec.encode_envelope(header), 1))
    return found


def mixed(symbols: Iterable[str], first: int, last: int) -> list[NewRecord]:
    """Each key says ``first`` to ``last - 1``, round and round."""
    names = list(symbols)
    return [record for number in range(first, last) for name in names for record in said(name, number)]


def answers(records: Iterable[Record]) -> dict[str, list[tuple[int, int]]]:
    """By symbol: (count, what was said) in the order of the log. Every output of one message must be there once."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    ids: dict[UUID, Record] = {}
    for record in records:
        header = codec.decode_envelope(record.header)
        assert header.id not in ids, f"an output is there twice: {record} and {ids[header.id]}"
        ids[header.id] = record
        message = codec.decode("Progress", record.value or b"")
        assert isinstance(message, Progress)
        found[message.symbol].append((message.complete_through, message.last_id))
    return dict(found)


def counted(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """What ``answers`` gives in ``OUTPUT`` for a key that said these."""
    return [(n, number) for n, number in enumerate(numbers, 1) for _ in range(2)]


def reasons(records: Iterable[Record]) -> list[str]:
    """The code of each dead letter."""
    return [codec.decode_envelope(record.header).producer.split(" ")[1].rstrip(":") for record in records]


DEAD = dead_letters(INPUT.name)


async def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for something; AssertionError when it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s in vain until {what}"
        await asyncio.sleep(0.01)


async def within(seconds: float, doing: Awaitable[Any], what: str) -> None:
    """AssertionError when it takes longer."""
    task = asyncio.ensure_future(doing)
    done, _ = await asyncio.wait([task], timeout=seconds)
    if not done:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        raise AssertionError(f"{what} must take less than {seconds:.1f} s")
    task.result()
