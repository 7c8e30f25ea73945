"""The live shape: 500 symbols at rates drawn from the recordings, or faster in proportion; how long a trade takes to a
candle that can be read, of our runtime and of the bare loop."""

import os

from benchmarks.cluster import _stream as shared
from benchmarks.cluster._stream_feed import LIVE_S, Feed, Worker
from benchmarks.measure import Figure
from benchmarks.spine._live import schedule

FLOOR = "the bare loop"


def live(brokers: str, rate: int | None = None, *, where: str = "") -> list[Figure]:
    """``rate``: trades a second of all symbols together; as in the recordings when None. ``where`` goes before every
    name."""
    factor = 1.0 if rate is None else rate * LIVE_S / len(schedule(LIVE_S))
    found: dict[str, tuple[dict[str, float], list[float], int]] = {}
    for kind in ("quix", "bare"):
        with shared.own_topics(brokers, f"bench-{os.getpid()}-live-{kind}.", shared.LIVE) as options:
            feed = Feed(brokers, options)
            with Worker(kind, brokers, options) as worker:
                feed.warm()
                trades = feed.run(factor)
                told = worker.end()
            found[kind] = told, feed.latencies(), trades
    (told, ours, trades), (_, floor, _) = found["quix"], found["bare"]
    shape = f"{where}live" if rate is None else f"{where}live at {rate:,} trades/s"
    kept = min(trades / told["wall"], trades / LIVE_S)
    heard = f"{trades / LIVE_S:.0f} trades/s in {told['messages'] / LIVE_S:.0f} messages/s"
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
        Figure(f"{shape}, trades a CPU second", trades / told["cpu"], "trades/s a core"),
        Figure(f"{shape}, messages a CPU second", told["messages"] / told["cpu"], "messages/s a core"),
    ]


def _at(latencies: list[float], share: float) -> float:
    return latencies[min(int(len(latencies) * share), len(latencies) - 1)]
