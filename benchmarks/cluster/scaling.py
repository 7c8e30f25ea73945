"""One, two and four stream processes share the partitions of one replay; and how long a candle waits when a process
joins or leaves in the middle of a live feed.

Clocks of all processes are the machine's own, so a group's time is from the first message of any to the last commit of
any. More processes than cores share the cores: the ratio to one process says what the sharing itself costs.
Asks for brokers (``./dev servers start kafka``).
"""

import os
import threading
import time
from contextlib import ExitStack

from benchmarks.cluster import _stream as shared
from benchmarks.cluster._stream_feed import LIVE_S, Feed, Worker, write
from benchmarks.measure import Figure
from candlewick.testing import servers

_MESSAGES, _TRADES = 8_000, 500
_COUNTS = (1, 2, 4)
_ONE = "one process"


def main() -> list[Figure]:
    brokers = servers.address("kafka")
    if brokers is None:
        return [Figure("1 process, replay", None, "trades/s", note=servers.why_not("kafka"))]
    rates = {count: _shared(brokers, count) for count in _COUNTS}
    figures = [
        Figure(
            f"{count} process{'es' if count > 1 else ''}, replay",
            rate,
            "trades/s",
            peer=_ONE if count > 1 else "",
            ratio=rate / rates[1][0] if count > 1 else None,
            note=f"messages by process: {', '.join(f'{one:.0f}' for one in sorted(counts, reverse=True))}",
        )
        for count, (rate, counts) in rates.items()
    ]
    return [*figures, *_rebalanced(brokers)]


def _shared(brokers: str, count: int) -> tuple[float, list[float]]:
    """Trades a second of a group, and how many messages each process had."""
    with shared.own_topics(brokers, f"bench-{os.getpid()}-{count}.", shared.LIVE) as options, ExitStack() as stack:
        workers = [stack.enter_context(Worker("quix", brokers, options, f"w{number}")) for number in range(count)]
        write(brokers, options, shared.replay(_MESSAGES, _TRADES))
        told: list[dict[str, float]] = [{}] * count

        def ended(number: int) -> None:
            told[number] = workers[number].end()

        waiting = [threading.Thread(target=ended, args=(number,)) for number in range(count)]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
    worked = [one for one in told if one["messages"]]
    took = max(one["ended"] for one in worked) - min(one["began"] for one in worked)
    messages = [one["messages"] for one in told]
    return sum(messages) * _TRADES / took, messages


def _rebalanced(brokers: str) -> list[Figure]:
    """The longest that a candle waits while a second process joins, and while it leaves."""
    with shared.own_topics(brokers, f"bench-{os.getpid()}-live.", shared.LIVE) as options:
        feed = Feed(brokers, options)
        with Worker("quix", brokers, options, "stays") as stays:
            feed.warm()
            moments: list[int] = []

            def come_and_go() -> None:
                time.sleep(LIVE_S / 4)
                moments.append(time.time_ns())
                with Worker("quix", brokers, options, "comes") as comes:
                    time.sleep(LIVE_S / 2)
                    moments.append(time.time_ns())
                    comes.end()

            beside = threading.Thread(target=come_and_go)
            beside.start()
            feed.run(1.0, seconds=2 * LIVE_S)
            beside.join()
            stays.end()
    joins, leaves = moments
    # By the end of the last its rebalance is long over.
    spans = {
        "undisturbed": (0, joins),
        "a process joins": (joins, leaves),
        "a process leaves": (leaves, leaves + int(LIVE_S / 2 * 1e9)),
    }
    return [
        Figure(f"{name}, longest {what}", measure(begin, end), "ms", "lower")
        for name, (begin, end) in spans.items()
        for what, measure in (("stall of a partition", feed.stalled), ("wait for a candle", feed.longest))
    ]
