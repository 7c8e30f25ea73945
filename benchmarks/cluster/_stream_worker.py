"""One worker in a process of its own, so that its CPU is its own.

    python -m benchmarks.cluster._stream_worker KIND BROKERS PREFIX FOLDER MEMBER

KIND: ``quix`` our runtime on Quix Streams; ``bare`` a loop on the plain client with the same operator, state in memory
and no changelog: the floor; ``windows`` Quix's own windows on one trade a message. It says ``ready``, works until its
input ends, and answers with one line of JSON: what it did from its first message to its last commit.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer

from benchmarks.cluster import _stream as shared
from candlewick.adapters._kafka.names import HEADER, Names
from candlewick.adapters.log.kafka import KafkaOptions
from candlewick.adapters.stream._messages import Input, Processor, Round
from candlewick.adapters.stream.quix import QuixStreamRuntime
from candlewick.kernel.system import SystemClock, settle
from candlewick.quant.candles.operator import CandleOperator
from candlewick.quant.compiled import warm_all

_BATCH = 500


class Watch:
    """Clocks of the first message and the last commit."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None
        self.last = (0.0, 0.0)
        self.messages = self.commits = 0

    def began(self) -> None:
        if self.first is None:
            self.first = time.perf_counter(), time.process_time()

    def committed(self, messages: int) -> None:
        self.messages += messages
        self.commits += 1
        self.last = time.perf_counter(), time.process_time()

    def processed(self) -> None:
        self.began()
        self.committed(1)

    def told(self) -> dict[str, float]:
        if self.first is None:
            return {"wall": 0.0, "cpu": 0.0, "began": 0.0, "ended": 0.0, "messages": 0, "commits": 0}
        wall, cpu = self.last[0] - self.first[0], self.last[1] - self.first[1]
        began, ended = self.first[0], self.last[0]
        done = {"messages": self.messages, "commits": self.commits}
        return {"wall": wall, "cpu": cpu, "began": began, "ended": ended, **done}


async def _until_told() -> None:
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)


def quix(brokers: str, options: KafkaOptions, folder: Path, member: str, watch: Watch) -> None:
    async def work() -> None:
        pending = 0

        def step(name: str) -> None:
            nonlocal pending
            if name == "read":
                watch.began()
                pending += 1
            elif name == "committed":
                watch.committed(pending)
                pending = 0

        failures: list[BaseException] = []
        runtime = QuixStreamRuntime(
            brokers,
            clock=SystemClock(),
            member=member,
            state_dir=folder,
            topics=shared.TOPICS,
            options=options,
            on_step=step,
        )
        await runtime.start(CandleOperator(), on_failure=failures.append)
        settle()
        await _until_told()
        await runtime.caught_up()
        await runtime.stop()
        if failures:
            raise failures[0]

    asyncio.run(work())


class _Memory:
    """State of a key in a dict."""

    def __init__(self, entries: dict[Any, bytes], key: tuple[int, str]) -> None:
        self._entries, self._key = entries, key

    def hot(self) -> bytes | None:
        return self._entries.get(self._key)

    def cold(self, names: Sequence[bytes]) -> Mapping[bytes, bytes | None]:
        return {name: self._entries.get((self._key, name)) for name in names}

    def put(self, hot: bytes, cold: Mapping[bytes, bytes | None]) -> None:
        self._entries[self._key] = hot
        for name, value in cold.items():
            if value is None:
                self._entries.pop((self._key, name), None)
            else:
                self._entries[self._key, name] = value


def bare(brokers: str, options: KafkaOptions, folder: Path, member: str, watch: Watch) -> None:
    names = Names(shared.TOPICS, options.prefix)
    reading = options.reading(brokers, "bare", "bare", "bench") | {
        "fetch.wait.max.ms": 5,
        "auto.offset.reset": "earliest",
    }
    client, producer = Consumer(reading), Producer(options.writing(brokers, "bare", "bare"))
    producer.init_transactions(30)
    client.subscribe([names.there(shared.RAW.name)])
    processor = Processor(CandleOperator(), producer="stream", check_size=lambda *_: None, on_step=lambda _: None)
    entries: dict[Any, bytes] = {}
    stop = asyncio.Event()

    def loop() -> None:
        idle = 0
        while not (stop.is_set() and watch.messages and idle > 200):
            messages = [one for one in client.consume(_BATCH, 0.005) if one.error() is None]
            idle = 0 if messages else idle + 1
            if not messages:
                continue
            watch.began()
            done = Round()
            for one in messages:
                key = one.key().decode()
                header = dict(one.headers())[HEADER]
                record = Input(names.here(one.topic()), one.partition(), one.offset(), key, header, one.value())
                processor.take(record, _Memory(entries, (one.partition(), key)), done)
            processor.finish(done)
            producer.begin_transaction()
            for out in done.outgoing:
                topic, partition = names.place(out)
                producer.produce(topic, out.value, out.key, partition=partition, headers=[(HEADER, out.header)])
            producer.send_offsets_to_transaction(client.position(client.assignment()), client.consumer_group_metadata())
            producer.commit_transaction()
            watch.committed(len(messages))

    async def work() -> None:
        worker = asyncio.create_task(asyncio.to_thread(loop))
        settle()
        await _until_told()
        stop.set()
        await worker

    asyncio.run(work())
    with contextlib.suppress(KafkaException):
        client.close()


def windows(brokers: str, options: KafkaOptions, folder: Path, member: str, watch: Watch) -> None:
    from quixstreams import Application
    from quixstreams.dataframe.windows import First, Last, Max, Min, Sum

    prefix = options.prefix
    app = Application(
        broker_address=brokers,
        consumer_group=f"{prefix}windows",
        auto_offset_reset="earliest",
        commit_interval=0.05,
        consumer_extra_config={"fetch.wait.max.ms": 5},
        producer_extra_config={"transactional.id": f"{prefix}windows", "retry.backoff.ms": 2},
        state_dir=folder,
        processing_guarantee="exactly-once",
        consumer_poll_timeout=0.02,
        auto_create_topics=True,
        loglevel=None,
        on_message_processed=lambda topic, partition, offset: watch.processed(),
    )
    trades = app.dataframe(app.topic(prefix + shared.SINGLE.name, timestamp_extractor=lambda value, *_: value["t"]))
    bars = trades.tumbling_window(60_000).agg(
        open=First("p"), high=Max("p"), low=Min("p"), close=Last("p"), volume=Sum("q")
    )
    bars.final().to_topic(app.topic(prefix + shared.BARS.name))
    print("ready", flush=True)
    app.run(timeout=8)


KINDS: dict[str, Callable[[str, KafkaOptions, Path, str, Watch], None]] = {
    "quix": quix,
    "bare": bare,
    "windows": windows,
}

if __name__ == "__main__":
    kind, brokers_, prefix_, folder_, member_ = sys.argv[1:6]
    watch_ = Watch()
    warm_all()
    KINDS[kind](brokers_, KafkaOptions(prefix=prefix_), Path(folder_), member_, watch_)
    print(json.dumps(watch_.told()), flush=True)
