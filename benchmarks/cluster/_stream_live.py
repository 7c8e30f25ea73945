"""The live shape: 500 symbols at rates drawn from the recordings, or faster in proportion; how long a trade takes to a
candle that can be read, of our runtime and of the bare loop."""

import os

import msgspec

from benchmarks.cluster import _stream as shared
from benchmarks.cluster._stream_feed import LIVE_S, Feed, Worker
from benchmarks.measure import Figure
from benchmarks.spine._live import schedule

FLOOR = "the bare loop"
_ROUNDS = 2


class Run(msgspec.Struct):
    """One worker's ten seconds. Latencies in ms, ``wall`` and ``cpu`` in seconds."""

    latencies: list[float]
    trades: float
    wall: float
    cpu: float
    messages: float


def live(brokers: str, rate: int | None = None, *, where: str = "") -> list[Figure]:
    """``rate``: trades a second of all symbols together; as in the recordings when None. ``where`` goes before every
    name."""
    factor = 1.0 if rate is None else rate * LIVE_S / len(schedule(LIVE_S))
    # Brokers that were just begun are slow for some seconds of work.
    _run(brokers, "bare", factor)
    rounds = [(_run(brokers, "quix", factor), _run(brokers, "bare", factor)) for _ in range(_ROUNDS)]
    ours, floor = (sorted(took for pair in rounds for took in pair[kind].latencies) for kind in (0, 1))
    runs = [pair[0] for pair in rounds]
    trades, messages = sum(run.trades for run in runs), sum(run.messages for run in runs)
    wall, cpu = sum(run.wall for run in runs), sum(run.cpu for run in runs)
    seconds = LIVE_S * _ROUNDS
    shape = f"{where}live" if rate is None else f"{where}live at {rate:,} trades/s"
    kept = min(trades / wall, trades / seconds)
    heard = f"{trades / seconds:.0f} trades/s in {messages / seconds:.0f} messages/s"
    return [
        *(
            Figure(
                f"{shape}, trade to candle p{share * 100:.0f}",
                _at(ours, share),
                "ms",
                "lower",
                peer=FLOOR,
                ratio=_at(floor, share) / _at(ours, share),
                note=heard,
            )
            for share in (0.5, 0.99)
        ),
        Figure(f"{shape}, kept up with", kept, "trades/s"),
        Figure(f"{shape}, trades a CPU second", trades / cpu, "trades/s a core"),
        Figure(f"{shape}, messages a CPU second", messages / cpu, "messages/s a core"),
    ]


def _run(brokers: str, kind: str, factor: float) -> Run:
    with shared.own_topics(brokers, f"bench-{os.getpid()}-live-{kind}.", shared.LIVE) as options:
        feed = Feed(brokers, options)
        with Worker(kind, brokers, options) as worker:
            feed.warm()
            trades = feed.run(factor)
            told = worker.end()
        return Run(feed.latencies(), trades, told["wall"], told["cpu"], told["messages"])


def _at(latencies: list[float], share: float) -> float:
    return latencies[min(int(len(latencies) * share), len(latencies) - 1)]
