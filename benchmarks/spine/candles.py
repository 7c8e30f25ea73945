"""Candles: the kernel alone, the operator's whole step, and the runtime from log to committed candles."""

import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure, median, seconds
from candlewick.adapters._sqlite.logfile import LogFile, WriteRequest
from candlewick.adapters.stream.sqlite import SqliteStreamRuntime
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope, Origin, frozen
from candlewick.contracts.collector import TradeBatch, TradeColumns, TradeIds
from candlewick.kernel.ids import uuid7
from candlewick.kernel.system import SystemClock
from candlewick.quant import compiled
from candlewick.quant.candles import intake, layout
from candlewick.quant.candles.operator import CandleOperator

START = 1_700_000_000_000_000_000
PER_SECOND = 30.0  # a busy pair in the recordings
KEYS = 8


def batches(trades: int, size: int, symbol: str = "BTC-USDT") -> list[TradeBatch]:
    """A random walk at the rate of a busy pair, in batches; all ids there, in order of time."""
    draw = np.random.default_rng(7)
    when = START + np.cumsum(draw.exponential(1e9 / PER_SECOND, trades)).astype(np.int64) // 1_000_000 * 1_000_000
    when = np.maximum.accumulate(when)
    columns = (
        np.arange(1, trades + 1),
        6_000_000_000_000 + np.cumsum(draw.integers(-500, 501, trades)) * 1_000_000,
        draw.integers(1, 10**9, trades),
        when,
        when,
        draw.integers(0, 2, trades).astype(np.uint8),
    )
    out = []
    for i in range(0, trades, size):
        ids, price, amount, ts_event, ts_recv, side = [frozen(a[i : i + size].copy()) for a in columns]
        part = TradeColumns(ids, price, amount, ts_event, ts_recv, side, 8, 8)
        out.append(TradeBatch("binance", symbol, TradeIds.DENSE, False, Origin.BUILT, False, part))
    return out


def kernel_pass(messages: list[TradeBatch]) -> None:
    """The aggregation alone: every trade into its candles, final candles as rows."""
    state = layout.new_state()
    out = np.zeros((layout.ROW_CAPACITY, layout.ROW), np.int64)
    status, control = np.zeros(8192, np.uint8), np.zeros(layout.CONTROL, np.int64)
    earlier = frozen(np.empty(0, np.int64))
    for message in messages:
        c = message.columns_v1
        control[:] = 0
        control[layout.C_END], control[layout.C_KIND] = len(c.price), int(TradeIds.DENSE)
        intake.take(state, c.trade_id, c.price, c.size, c.ts_event, c.side, earlier, status, out, control)


def operator_pass(messages: list[TradeBatch]) -> None:
    """Whole steps: state from bytes and back, cold entries, messages of final and open candles."""
    operator = CandleOperator()
    hot: bytes | None = None
    cold: dict[bytes, bytes] = {}
    for message in messages:
        names = operator.cold_keys(hot, message)
        step = operator.apply(hot, message, {name: cold.get(name) for name in names})
        hot = step.hot
        cold.update({name: value for name, value in step.cold.items() if value is not None})


def _fill(file: LogFile, trades: int, size: int) -> int:
    queues = [batches(trades // KEYS, size, f"S{k}-USDT") for k in range(KEYS)]
    count = 0
    for group in zip(*queues, strict=True):
        appends = []
        for message in group:
            count += 1
            envelope = Envelope(uuid7(count, count), "TradeBatch", START, START, message.key, "collector")
            number = file.number("raw.market-data", message.key)
            appends.append((number, message.key, codec.encode_envelope(envelope), codec.encode(message)))
        file.write(WriteRequest(appends=appends))
    return count


async def _run(file: LogFile) -> None:
    runtime = SqliteStreamRuntime(file, clock=SystemClock(), member="bench")
    failures: list[BaseException] = []
    await runtime.start(CandleOperator(), on_failure=failures.append)
    await runtime.caught_up()
    await runtime.stop()
    if failures:
        raise failures[0]


def runtime_rates(trades: int, size: int, runs: int) -> tuple[float, ...]:
    """Trades a second of this process's CPU time (operator and writer thread), from records in the log to committed
    candles, state and positions."""
    rates = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            file = LogFile(Path(folder), SystemClock())
            file.open()
            _fill(file, trades, size)
            begin = time.process_time()
            asyncio.run(_run(file))
            rates.append(trades / (time.process_time() - begin))
            file.close()
    return tuple(rates)


def main() -> list[Figure]:
    compiled.warm_all("candlewick.quant.candles")
    figures = []
    for size, trades in ((256, 1_024_000), (4096, 2_048_000)):
        messages = batches(trades, size)
        for name, work in (("aggregation alone", kernel_pass), ("operator step", operator_pass)):
            rates = tuple(trades / s for s in seconds(lambda w=work, m=messages: w(m), runs=3, cpu=True))  # type: ignore[misc]
            figures.append(
                Figure(f"candles, {name}, batches of {size}", median(rates), "trades/s", samples=rates, note="CPU time")
            )
    for size, trades in ((256, 1_024_000), (2048, 2_048_000 - 2_048_000 % (2048 * KEYS))):
        rates = runtime_rates(trades, size, 3)
        figures.append(
            Figure(
                f"candles, log to committed, batches of {size}",
                median(rates),
                "trades/s",
                samples=rates,
                note="CPU time",
            )
        )
    return figures


if __name__ == "__main__":
    for figure in main():
        print(figure)
