"""Raw frames to committed candle events on one core: collector, log and stream, in the replay's and the live shape.

Peers in the same run: a streaming framework that takes a trade a message (bytewax, in-process source) where it is
installed, and a plain dict-of-candles loop in Python as the floor of what a script would do.
"""

import json
import statistics
import time

from benchmarks import peers
from benchmarks.measure import Figure
from benchmarks.spine import _pipeline as pipeline
from benchmarks.spine._live import live_shape

REPLAY_FRAMES = 600_000
BLOCK = 2048  # lines that the player reads at once
RUNS = 3


def main() -> list[Figure]:
    pipeline.one_core()
    frames = pipeline.trade_frames(REPLAY_FRAMES, per_second=5000)
    rates, cpus, lags = [], [], []
    for _ in range(RUNS):
        wall, cpu, counters, lag = pipeline.run(pipeline.drain(frames, block=BLOCK))
        assert counters["candles"] > 0
        rates.append(len(frames) / wall)
        cpus.append(len(frames) / cpu)
        lags.append(lag)
    script = _script(frames[:100_000])
    wall, cpu = statistics.median(rates), statistics.median(cpus)
    plain = "a plain Python script without a log"
    figures = [
        Figure("frames to committed candles, wall", wall, "trades/s", "higher", tuple(rates), plain, wall / script),
        Figure("frames to committed candles, CPU", cpu, "trades/s a core", "higher", tuple(cpus)),
        Figure("loop lag p99 at full speed", statistics.median(lags), "ms", "lower", tuple(lags)),
    ]
    if peers.has("bytewax"):
        peer = _bytewax(frames[:60_000])
        name = "bytewax, one-minute window, one trade a message, no log"
        figures.append(
            Figure("frames to candles beside a framework", wall, "trades/s", "higher", (), name, wall / peer)
        )
    else:
        print(f"bytewax {peers.MISSING}")
    figures += live_shape()
    figures += live_shape(rate_factor=25.0)
    return figures


def _script(frames: pipeline.Frames) -> float:
    """Trades a second of json.loads and a dict of one-minute candles: no log, no state kept, floats."""
    started = time.perf_counter()
    candles: dict[tuple[str, int], list[float]] = {}
    for _, raw in frames:
        trade = json.loads(raw)["data"]
        price, size = float(trade["p"]), float(trade["q"])
        key = (trade["s"], trade["T"] // 60_000)
        candle = candles.get(key)
        if candle is None:
            candles[key] = [price, price, price, price, size]
        else:
            candle[1] = max(candle[1], price)
            candle[2] = min(candle[2], price)
            candle[3] = price
            candle[4] += size
    return len(frames) / (time.perf_counter() - started)


def _bytewax(frames: pipeline.Frames) -> float:
    """Trades a second of a bytewax flow that decodes a frame a message and folds one-minute windows."""
    from datetime import UTC, datetime, timedelta

    import bytewax.operators as op
    import bytewax.operators.windowing as win
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, TestingSource, run_main

    def decode(raw: bytes) -> tuple[str, tuple[datetime, float, float]]:
        trade = json.loads(raw)["data"]
        when = datetime.fromtimestamp(trade["T"] / 1000, UTC)
        return trade["s"], (when, float(trade["p"]), float(trade["q"]))

    clock = win.EventClock(lambda row: row[0], wait_for_system_duration=timedelta(seconds=2))
    windower = win.TumblingWindower(length=timedelta(minutes=1), align_to=datetime(2023, 1, 1, tzinfo=UTC))

    def fold(acc: list[float] | None, row: tuple[datetime, float, float]) -> list[float]:
        _, price, size = row
        if not acc:
            return [price, price, price, price, size]
        return [acc[0], max(acc[1], price), min(acc[2], price), price, acc[4] + size]

    def merge(a: list[float], b: list[float]) -> list[float]:
        return [a[0], max(a[1], b[1]), min(a[2], b[2]), b[3], a[4] + b[4]] if a else b

    out: list[object] = []
    flow = Dataflow("candles")
    stream = op.map("decode", op.input("in", flow, TestingSource([raw for _, raw in frames], batch_size=256)), decode)
    folded = win.fold_window("fold", stream, clock, windower, list, fold, merge)
    op.output("out", folded.down, TestingSink(out))
    started = time.perf_counter()
    run_main(flow)
    assert out
    return len(frames) / (time.perf_counter() - started)


if __name__ == "__main__":
    for figure in main():
        print(figure)
