"""Trades to committed candles on the brokers, exactly once: our runtime on Quix Streams beside a bare loop on the plain
client with the same operator (no changelog: the floor), and beside Quix's own windows on one trade a message.

Two shapes [23]: a replay of full batches, and a live feed of 500 symbols at rates drawn from the recordings, whose
batches hold a few trades each. Workers are processes of their own. Asks for brokers (``./dev servers start kafka``).
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.cluster import _stream as shared
from benchmarks.measure import Figure
from benchmarks.spine._live import SYMBOLS, schedule
from candlewick.adapters._kafka.names import HEADER, Names
from candlewick.adapters.log.kafka import KafkaOptions
from candlewick.contracts import codec
from candlewick.kernel.hashing import partition_of
from candlewick.ports.log import NewRecord
from candlewick.testing import servers

_MESSAGES, _TRADES = 8_000, 500
_SINGLES = 6_000
_LIVE_S, _LINGER_S = 10.0, 0.005
_FACTORS = (1.0, 10.0)
_FLOOR, _WINDOWS = "the bare loop", "Quix's own windows"


def main() -> list[Figure]:
    brokers = servers.address("kafka")
    if brokers is None:
        return [Figure("replay, trades", None, "trades/s", note=servers.why_not("kafka"))]
    figures = _replays(brokers)
    for factor in _FACTORS:
        figures += _live(brokers, factor)
    return figures


def _replays(brokers: str) -> list[Figure]:
    found: dict[str, dict[str, float]] = {}
    with shared.own_topics(brokers, f"bench-{os.getpid()}.", shared.TOPICS) as options:
        _singles(brokers, options)
        _write(brokers, options, shared.replay(_MESSAGES, _TRADES))
        for kind in ("quix", "bare", "windows"):
            with _Worker(kind, brokers, options) as worker:
                found[kind] = worker.end()
    ours, floor, theirs = (found[kind] for kind in ("quix", "bare", "windows"))
    rate = {kind: one["messages"] / one["wall"] for kind, one in found.items()}
    return [
        Figure("replay, trades", rate["quix"] * _TRADES, "trades/s", peer=_FLOOR, ratio=rate["quix"] / rate["bare"]),
        Figure(
            "replay, trades beside windows",
            rate["quix"] * _TRADES,
            "trades/s",
            peer=_WINDOWS,
            ratio=rate["quix"] * _TRADES / rate["windows"],
            note=f"{rate['windows']:,.0f} trades/s there, one a message, {theirs['messages']:.0f} of them",
        ),
        Figure(
            "replay, trades a CPU second",
            ours["messages"] * _TRADES / ours["cpu"],
            "trades/s a core",
            peer=_FLOOR,
            ratio=(ours["messages"] / ours["cpu"]) / (floor["messages"] / floor["cpu"]),
        ),
        Figure(
            "replay, messages a CPU second",
            ours["messages"] / ours["cpu"],
            "messages/s a core",
            note=f"{_TRADES} trades a message, {ours['messages'] / ours['commits']:.0f} messages a commit",
        ),
    ]


def _live(brokers: str, factor: float) -> list[Figure]:
    found: dict[str, tuple[dict[str, float], list[float], int]] = {}
    for kind in ("quix", "bare"):
        with shared.own_topics(brokers, f"bench-{os.getpid()}-live-{kind}.", shared.LIVE) as options:
            feed = _Feed(brokers, options)
            with _Worker(kind, brokers, options) as worker:
                feed.warm()
                trades = feed.run(factor)
                told = worker.end()
            found[kind] = told, feed.latencies(), trades
    (told, ours, trades), (_, floor, _) = found["quix"], found["bare"]
    shape = f"live x{factor:g}"
    return [
        Figure(
            f"{shape}, trade to candle p50",
            _at(ours, 0.5),
            "ms",
            "lower",
            peer=_FLOOR,
            ratio=_at(floor, 0.5) / _at(ours, 0.5),
            note=f"{trades / _LIVE_S:.0f} trades/s in {told['messages'] / _LIVE_S:.0f} messages/s",
        ),
        Figure(
            f"{shape}, trade to candle p99",
            _at(ours, 0.99),
            "ms",
            "lower",
            peer=_FLOOR,
            ratio=_at(floor, 0.99) / _at(ours, 0.99),
        ),
        Figure(f"{shape}, trades a CPU second", trades / told["cpu"], "trades/s a core"),
        Figure(f"{shape}, messages a CPU second", told["messages"] / told["cpu"], "messages/s a core"),
    ]


def _at(latencies: list[float], share: float) -> float:
    return latencies[min(int(len(latencies) * share), len(latencies) - 1)]


class _Worker:
    """A worker's process from ready to its end."""

    def __init__(self, kind: str, brokers: str, options: KafkaOptions) -> None:
        self._folder = tempfile.TemporaryDirectory()
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.cluster._stream_worker"]
        self._process = subprocess.Popen(
            [*command, kind, brokers, options.prefix, self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "_Worker":
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


def _producer(brokers: str, options: KafkaOptions) -> Producer:
    return Producer(options.writing(brokers, "bench", None) | {"linger.ms": 1})


def _write(brokers: str, options: KafkaOptions, records: Iterable[NewRecord]) -> None:
    producer, names = _producer(brokers, options), Names(shared.TOPICS, options.prefix)
    for record in records:
        topic, partition = names.place(record)
        producer.produce(topic, record.value, record.key, partition=partition, headers=[(HEADER, record.header)])
        producer.poll(0)
    producer.flush(60)


def _singles(brokers: str, options: KafkaOptions) -> None:
    producer = _producer(brokers, options)
    for number in range(_SINGLES):
        key = f"bench:S{number % 8}-USDT"
        value = {"t": shared.T0_NS // 10**6 + number // 8 * 20, "p": 60_000.0 + number % 97, "q": 0.1}
        producer.produce(
            options.prefix + shared.SINGLE.name,
            json.dumps(value).encode(),
            key,
            partition=partition_of(key, shared.PARTITIONS),
        )
    producer.flush(60)


class _Feed:
    """Trades written as they are due; when each message's candle could be read."""

    def __init__(self, brokers: str, options: KafkaOptions) -> None:
        self._producer, self._names = _producer(brokers, options), Names(shared.TOPICS, options.prefix)
        settings = options.reading(brokers, "watch", None, None) | {"fetch.wait.max.ms": 5}
        self._reader = Consumer(settings)
        topic = self._names.there(shared.OPEN.name)
        self._reader.assign([TopicPartition(topic, number, 0) for number in range(shared.PARTITIONS)])
        self._latencies: list[tuple[int, float]] = []
        self._stop = threading.Event()
        self._began_ns = 0
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

    def warm(self) -> None:
        """Until the first candle comes."""
        while not self._latencies:
            self._send(0, 1, time.time_ns())
            time.sleep(0.2)

    def run(self, factor: float) -> int:
        """Trades written within ``_LIVE_S`` seconds."""
        arrivals = [(at / factor, symbol) for at, symbol in schedule(_LIVE_S * factor)]
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
