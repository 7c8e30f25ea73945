"""Workers on Quix Streams that can be killed. Run as a program it forks them, so that each begins without importing
anything: a line of JSON in asks for one, a line of JSON out answers.

    {"do": "spawn", "member": ..., "folder": ..., "prefix": ..., "place": "submitting", "count": 3, "serve": false}
    {"do": "wait", "pid": 123}

A worker processes until caught up and leaves, or with ``serve`` until SIGTERM. It ends itself with SIGKILL when
``place`` is met for the ``count``-th time: a step of the runtime, or ``restoring``, a record of a changelog.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from quixstreams.state.recovery import RecoveryPartition

from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.stream.quix import QuixStreamRuntime, StreamOptions
from candlewick.adapters.stream.quix import engine as _  # noqa: F401 - loaded once, before the first fork
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope, Message
from candlewick.contracts.stream import CandleBatch
from candlewick.contracts.topics import NORMALIZED_OHLCV, OPEN_OHLCV, RAW_MARKET_DATA
from candlewick.kernel.ids import uuid7
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import NewRecord, Record
from candlewick.quant.candles.operator import CandleOperator
from candlewick.testing.oracle.candles import Candle, candles_of

RAW = replace(RAW_MARKET_DATA, partitions=8)
CANDLES = replace(NORMALIZED_OHLCV, partitions=6)
TOPICS = (RAW, CANDLES, replace(OPEN_OHLCV, partitions=3))
STEPS = ("read", "decoded", "applied", "submitting", "submitted", "committed", "restoring")


def options(prefix: str) -> KafkaOptions:
    """Short enough that nobody waits long for the dead."""
    return KafkaOptions(prefix=prefix, session_s=6.0, poll_within_s=30.0, transaction_s=10.0)


def records(messages: Iterable[Message]) -> list[NewRecord]:
    """As the collector writes them."""
    found = []
    for n, message in enumerate(messages):
        envelope = Envelope(uuid7(n + 1, n), type(message).__name__, 1, 1, message.key, "collector")
        value = codec.encode(message)
        found.append(NewRecord(RAW.name, message.key, value, codec.encode_envelope(envelope), 1))
    return found


def candles(found: Iterable[Record]) -> dict[str, list[Candle]]:
    """Rows by key; no output may be there twice."""
    out: dict[str, list[Candle]] = defaultdict(list)
    ids = set()
    for record in found:
        made = codec.decode_envelope(record.header).id
        assert made not in ids, f"an output is there twice, was {made}"
        ids.add(made)
        message = codec.decode("CandleBatch", record.value or b"")
        assert isinstance(message, CandleBatch)
        assert message.key == record.key
        out[message.key] += candles_of(message)
    return {key: sorted(rows) for key, rows in out.items()}


def changelog(brokers: str, prefix: str) -> list[tuple[int, bytes, int]]:
    """(partition, key, bytes with headers) of all that is in the changelog."""
    settings = options(prefix).reading(brokers, "look", None, None) | {"enable.partition.eof": True}
    client = Consumer(settings | {"auto.offset.reset": "earliest"})
    topic = next(name for name in client.list_topics(timeout=10).topics if name.startswith(f"{prefix}stream."))
    client.assign([TopicPartition(topic, number, 0) for number in range(RAW.partitions)])
    found, open_ = [], set(range(RAW.partitions))
    deadline = time.monotonic() + 60
    while open_:
        assert time.monotonic() < deadline
        message = client.poll(1.0)
        if message is None:
            continue
        if message.error() is not None:
            open_.discard(message.partition())
            continue
        size = len(message.key()) + len(message.value() or b"")
        size += sum(len(name) + len(value) for name, value in message.headers())
        found.append((message.partition(), message.key(), size))
    client.close()
    return found


class _Bomb:
    def __init__(self, place: str, count: int) -> None:
        self.place, self.left = place, count

    def __call__(self, step: str) -> None:
        if step == self.place:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


async def _work(order: dict[str, Any]) -> None:
    bomb = _Bomb(order.get("place", ""), order.get("count", 0))
    restored = 0
    recover = RecoveryPartition.recover_from_changelog_message

    def watched(self: Any, changelog_message: Any) -> None:
        nonlocal restored
        restored += 1
        bomb("restoring")
        recover(self, changelog_message)

    RecoveryPartition.recover_from_changelog_message = watched  # type: ignore[method-assign]
    trace = logging.FileHandler(Path(order["folder"], f"{order['member']}.log"))
    trace.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger("quixstreams").addHandler(trace)
    logging.getLogger("quixstreams").setLevel(os.environ.get("CANDLEWICK_TRACE", "INFO"))
    failures: list[BaseException] = []
    runtime = QuixStreamRuntime(
        order["brokers"],
        clock=SystemClock(),
        member=order["member"],
        state_dir=Path(order["folder"]),
        topics=TOPICS,
        options=options(order["prefix"]),
        stream=StreamOptions(commit_messages=order.get("messages", 256)),
        on_step=bomb,
    )
    leave = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave.set)
    begin = time.monotonic()
    await runtime.start(
        CandleOperator(),
        on_failure=failures.append,
        on_trouble=lambda error: logging.getLogger("quixstreams").warning("trouble: %r", error),
    )
    if order.get("serve"):
        await leave.wait()
    else:
        done = asyncio.ensure_future(runtime.caught_up())
        while not done.done() and not failures:
            await asyncio.wait([done], timeout=0.1)
    took = time.monotonic() - begin
    await runtime.stop()
    if failures:
        raise failures[0]
    stats = runtime.stats()
    told = {"messages": stats.messages, "commits": stats.commits, "restored": restored, "took": took}
    Path(order["folder"], f"{order['member']}.json").write_text(json.dumps(told))


def _child(order: dict[str, Any]) -> None:
    try:
        asyncio.run(_work(order))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    """The one that forks; it never talks to a broker itself."""
    print(json.dumps({"ready": True}), flush=True)
    living: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "spawn":
            pid = os.fork()
            if pid == 0:
                _child(order)
            living.add(pid)
            print(json.dumps({"pid": pid}), flush=True)
        else:
            _, status = os.waitpid(order["pid"], 0)
            living.discard(order["pid"])
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
