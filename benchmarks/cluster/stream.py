"""Trades to committed candles on the brokers, exactly once: our runtime on Quix Streams beside a bare loop on the plain
client with the same operator (no changelog: the floor), and beside Quix's own windows on one trade a message.

Two shapes [23]: a replay of full batches, and a live feed of 500 symbols at rates drawn from the recordings, whose
batches hold a few trades each. Workers are processes of their own. Asks for brokers (``./dev servers start kafka``).
Every topic has 8 partitions, or as many as BENCH_PARTITIONS says: a transaction costs by the partitions it touches.
"""

import json
import os

from benchmarks.cluster import _stream as shared
from benchmarks.cluster._stream_feed import Worker, new_producer, write
from benchmarks.cluster._stream_live import FLOOR, live
from benchmarks.measure import Figure
from candlewick.adapters.log.kafka import KafkaOptions
from candlewick.kernel.hashing import partition_of
from candlewick.testing import servers

_MESSAGES, _TRADES = 8_000, 500
_SINGLES = 6_000
_WINDOWS = "Quix's own windows"


def main() -> list[Figure]:
    brokers = servers.address("kafka")
    if brokers is None:
        return [Figure("replay, trades", None, "trades/s", note=servers.why_not("kafka"))]
    figures = _replays(brokers)
    for rate in (None, 2_000, 50_000):
        figures += live(brokers, rate)
    return figures


def _replays(brokers: str) -> list[Figure]:
    found: dict[str, dict[str, float]] = {}
    with shared.own_topics(brokers, f"bench-{os.getpid()}.", shared.TOPICS) as options:
        _singles(brokers, options)
        write(brokers, options, shared.replay(_MESSAGES, _TRADES))
        for kind in ("quix", "bare", "windows"):
            with Worker(kind, brokers, options) as worker:
                found[kind] = worker.end()
    ours, floor, theirs = (found[kind] for kind in ("quix", "bare", "windows"))
    rate = {kind: one["messages"] / one["wall"] for kind, one in found.items()}
    return [
        Figure("replay, trades", rate["quix"] * _TRADES, "trades/s", peer=FLOOR, ratio=rate["quix"] / rate["bare"]),
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
            peer=FLOOR,
            ratio=(ours["messages"] / ours["cpu"]) / (floor["messages"] / floor["cpu"]),
        ),
        Figure(
            "replay, messages a CPU second",
            ours["messages"] / ours["cpu"],
            "messages/s a core",
            note=f"{_TRADES} trades a message, {ours['messages'] / ours['commits']:.0f} messages a commit",
        ),
    ]


def _singles(brokers: str, options: KafkaOptions) -> None:
    producer = new_producer(brokers, options)
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
