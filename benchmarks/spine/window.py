"""Reading the newest 100 candles of a series in this process: a view of the ring, beside a copy and a deque of rows."""

from collections import deque
from collections.abc import Callable

import numpy as np

from benchmarks.measure import Figure, median, seconds
from candlewick.quant.candles.values import CandleArrays
from candlewick.quant.windows.ring import FIELDS, Ring

READS = 20_000
ROWS = 1500


def _rows() -> CandleArrays:
    made = {name: np.ones(ROWS, dtype) for name, dtype in FIELDS}
    made["open_time_ms"] = np.arange(ROWS, dtype=np.int64) * 60_000
    return CandleArrays(**made)


def main() -> list[Figure]:
    ring = Ring(ROWS)
    ring.apply(_rows())
    plain = deque((tuple(float(i) for _ in FIELDS) for i in range(ROWS)), maxlen=ROWS)

    def us(work: Callable[[], object]) -> tuple[float, ...]:
        return tuple(s / READS * 1e6 for s in seconds(lambda: [work() for _ in range(READS)], cpu=True))

    one = us(lambda: ring.column("close", 100))
    window = us(lambda: ring.view(100))
    encoded = us(lambda: b",".join(ring.encoded(ROWS - 100, ROWS)))
    peer = us(lambda: list(plain)[-100:])
    note = "a deque of rows copied to a list"
    return [
        Figure("one column of 100 candles, view", median(one), "us", "lower", one, note, median(peer) / median(one)),
        Figure(
            "100 candles, every column, view",
            median(window),
            "us",
            "lower",
            window,
            note,
            median(peer) / median(window),
        ),
        Figure("100 candles as JSON, encoded once", median(encoded), "us", "lower", encoded),
    ]


if __name__ == "__main__":
    for figure in main():
        print(figure)
