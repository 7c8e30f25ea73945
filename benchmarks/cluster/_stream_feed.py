"""Workers in processes of their own, and what feeds them: a replay written at once, or trades as they are due."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.cluster import _stream as shared
from benchmarks.spine._live import SYMBOLS, schedule
from candlewick.adapters._kafka.names import HEADER, Names
from candlewick.adapters.log.kafka import KafkaOptions
from candlewick.contracts import codec
from candlewick.ports.log import NewRecord

LIVE_S = 10.0
_LINGER_S = 0.005


class Worker:
    """A worker's process from ready to its end."""

    def __init__(self, kind: str, brokers: str, options: KafkaOptions, member: str = "bench") -> None:
        self._folder = tempfile.TemporaryDirectory()
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.cluster._stream_worker"]
        self._process = subprocess.Popen(
            [*command, kind, brokers, options.prefix, self._folder.name, member],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Worker":
        self._line("ready")
        return self

    def end(self) -> dict[str, float]:
        """Nothing more comes: what it did."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        told: dict[str, float] = json.loads(self._line("{"))
        return told

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def _line(self, begin: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(begin):
                return line
        raise SystemExit(f"the worker ended with status {self._process.wait()}")


def new_producer(brokers: str, options: KafkaOptions) -> Producer:
    return Producer(options.writing(brokers, "bench", None) | {"linger.ms": 1})


def write(brokers: str, options: KafkaOptions, records: Iterable[NewRecord]) -> None:
    producer, names = new_producer(brokers, options), Names(shared.TOPICS, options.prefix)
    for record in records:
        topic, partition = names.place(record)
        producer.produce(topic, record.value, record.key, partition=partition, headers=[(HEADER, record.header)])
        producer.poll(0)
    producer.flush(60)


class Feed:
    """Trades written as they are due; when each message's candle could be read."""

    def __init__(self, brokers: str, options: KafkaOptions) -> None:
        self._producer, self._names = new_producer(brokers, options), Names(shared.TOPICS, options.prefix)
        settings = options.reading(brokers, "watch", None, None)
        self._reader = Consumer(settings)
        topic = self._names.there(shared.OPEN.name)
        self._reader.assign([TopicPartition(topic, number, 0) for number in range(shared.PARTITIONS)])
        self._latencies: list[tuple[int, float]] = []
        self._heard: dict[int, list[int]] = defaultdict(list)
        self._stop = threading.Event()
        self._began_ns = self._ended_ns = 0
        self._ids = [0] * SYMBOLS
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            message: Any = self._reader.poll(0.1)
            if message is not None and message.error() is None:
                now = time.time_ns()
                sent = codec.decode_envelope(dict(message.headers())[HEADER]).ts_recv
                self._latencies.append((sent, (now - sent) / 1e6))
                self._heard[message.partition()].append(now)

    def warm(self) -> None:
        """Until the first candle comes."""
        while not self._latencies:
            self._send(0, 1, time.time_ns())
            time.sleep(0.2)

    def run(self, factor: float, *, seconds: float = LIVE_S) -> int:
        """Trades written within so many seconds, at so many times the recordings' rates."""
        arrivals = [(at / factor, symbol) for at, symbol in schedule(seconds * factor)]
        self._began_ns = begin = time.time_ns()
        done = 0
        while done < len(arrivals):
            now = (time.time_ns() - begin) / 1e9
            waiting: dict[int, int] = defaultdict(int)
            while done < len(arrivals) and arrivals[done][0] <= now:
                waiting[arrivals[done][1]] += 1
                done += 1
            for symbol, count in waiting.items():
                self._send(symbol, count, time.time_ns())
            self._producer.poll(0)
            time.sleep(_LINGER_S)
        self._producer.flush(10)
        self._ended_ns = time.time_ns()
        time.sleep(1.0)
        self._stop.set()
        self._thread.join()
        return len(arrivals)

    def _send(self, symbol: int, count: int, now_ns: int) -> None:
        first = self._ids[symbol] + 1
        self._ids[symbol] += count
        record = shared.record(shared.batch(f"S{symbol}-USDT", first, now_ns + np.arange(count)), first, now_ns)
        topic, partition = self._names.place(record)
        self._producer.produce(topic, record.value, record.key, partition=partition, headers=[(HEADER, record.header)])

    def latencies(self) -> list[float]:
        """Of the messages of ``run``, sorted, in ms."""
        return sorted(took for sent, took in self._latencies if sent >= self._began_ns)

    def stalled(self, begin_ns: int, end_ns: int) -> float:
        """The longest that any partition gave no candle between two instants, in ms."""
        begin_ns, end_ns = max(begin_ns, self._began_ns), min(end_ns, self._ended_ns)
        longest = 0
        for times in self._heard.values():
            inside = [begin_ns, *(at for at in times if begin_ns <= at < end_ns), end_ns]
            longest = max(longest, *(b - a for a, b in pairwise(inside)))
        return longest / 1e6

    def longest(self, begin_ns: int, end_ns: int) -> float:
        """Of the messages sent between two instants, in ms."""
        begin_ns = max(begin_ns, self._began_ns)
        return max(took for sent, took in self._latencies if begin_ns <= sent < end_ns)
