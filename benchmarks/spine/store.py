"""The candle store: a year to arrays, live appends, late rewrites, folding; a row a candle in SQLite beside it."""

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure, median
from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.contracts.base import frozen
from candlewick.contracts.stream import FINAL, CandleColumns

_YEAR = 525_600
_START_S = 1_672_531_200
_EVER = 1 << 62
_RUNS = 7


def _candles(n: int, *, start: int = 0, revision: int = 0, seed: int = 1) -> CandleColumns:
    """Bars with the spreads of a large pair: ticks of 0.01, sizes of 1e-5, 0 to 5,000 trades a minute."""
    random = np.random.default_rng(seed)
    open_time = (_START_S + (start + np.arange(n, dtype=np.int64)) * 60) * 10**9
    close = 3_000_000 + np.cumsum(random.integers(-3000, 3001, n))
    opened = np.roll(close, 1)
    volume = random.integers(10**5, 10**8, n).astype(np.uint64)
    nothing = frozen(np.zeros(n, np.int64))
    return CandleColumns(
        timeframe=frozen(np.full(n, 60, np.int32)),
        open_time=frozen(open_time),
        open=frozen(opened),
        high=frozen(np.maximum(opened, close) + random.integers(0, 1000, n)),
        low=frozen(np.minimum(opened, close) - random.integers(0, 1000, n)),
        close=frozen(close),
        volume_hi=nothing,
        volume_lo=frozen(volume),
        taker_hi=nothing,
        taker_lo=frozen(volume // np.uint64(2)),
        quote_hi=nothing,
        quote_lo=frozen(volume * np.abs(close).astype(np.uint64)),
        trades=frozen(random.integers(0, 5000, n)),
        revision=frozen(np.full(n, revision, np.int32)),
        flags=frozen(np.full(n, FINAL, np.uint8)),
        origin=frozen(np.full(n, 1, np.uint8)),
        known_at=frozen(open_time + 60 * 10**9 + random.integers(0, 2000, n) * 10**6),
        price_scale=2,
        size_scale=5,
    )


def main() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measured(Path(folder)))


async def _measured(folder: Path) -> list[Figure]:
    store = SqliteCandleStore(folder / "candles.db")
    await store.open()
    year = _candles(_YEAR)
    bulk = [await _timed(store.append("binance", "BTC-USDT", year))]
    begin = time.process_time()
    reads = [await _timed(store.range("binance", "BTC-USDT", 60, 0, _EVER)) for _ in range(_RUNS)]
    cpu = (time.process_time() - begin) / _RUNS
    last = [await _timed(store.last("binance", "BTC-USDT", 60, 1000)) for _ in range(100)]
    live, late, fold_late, fold_day, reads_late = [], [], [], [], []
    at = _YEAR
    for day in range(5):
        for _ in range(1440 // 48):
            live.append(await _timed(store.append("binance", "BTC-USDT", _candles(48, start=at))))
            at += 48
        fold_day.append(await _timed(store.fold((_START_S + at * 60) * 10**9)))
        row = _candles(1, start=(100 + day) * 1440 + 7, revision=day + 1)
        late.append(await _timed(store.append("binance", "BTC-USDT", row)))
        reads_late.append(await _timed(store.range("binance", "BTC-USDT", 60, 0, _EVER)))
        fold_late.append(await _timed(store.fold(_EVER)))
    (info,) = await store.series()
    await store.close()
    rows = _rows_peer(folder / "rows.db", year)
    figures = [
        Figure("year of 1 m bars to arrays", median(tuple(reads)) * 1e3, "ms", "lower", tuple(reads)),
        Figure("year of 1 m bars to arrays, CPU", cpu * 1e3, "ms", "lower"),
        Figure("year read with a late row in the tail", median(tuple(reads_late)) * 1e3, "ms", "lower"),
        Figure("year of 1 m bars kept at once", _YEAR / bulk[0], "rows/s"),
        Figure("append of 48 bars, p50", median(tuple(live)) * 1e3, "ms", "lower"),
        Figure("append of 48 bars, p99", float(np.quantile(live, 0.99)) * 1e3, "ms", "lower"),
        Figure("last 1000 bars", median(tuple(last)) * 1e3, "ms", "lower"),
        Figure("late row of a folded day, append", median(tuple(late)) * 1e3, "ms", "lower"),
        Figure("late row of a folded day, fold (rewrites the day)", median(tuple(fold_late)) * 1e3, "ms", "lower"),
        Figure("folding a day of 1 m bars", median(tuple(fold_day)) * 1e3, "ms", "lower"),
        Figure("bytes a stored bar", info.bytes / info.rows, "bytes", "lower"),
    ]
    peer = {"year of 1 m bars to arrays": rows[1], "year of 1 m bars kept at once": _YEAR / rows[0]}
    return [_beside(figure, peer.get(figure.name)) for figure in figures]


async def _timed(work: object) -> float:
    begin = time.perf_counter()
    await work  # type: ignore[misc]
    return time.perf_counter() - begin


def _rows_peer(path: Path, year: CandleColumns) -> tuple[float, float]:
    """Seconds to keep and to read the same year, a row a candle; one run, it is slow."""
    names = [name for name in CandleColumns.__struct_fields__ if not name.endswith("_scale") and name != "timeframe"]
    columns = [getattr(year, name).astype(np.int64) for name in names]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL").close()
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(
        f"CREATE TABLE candle ({', '.join(names)}, PRIMARY KEY (open_time, revision, origin)) WITHOUT ROWID"
    )
    begin = time.perf_counter()
    connection.execute("BEGIN")
    rows = zip(*(column.tolist() for column in columns), strict=True)
    connection.executemany(f"INSERT INTO candle VALUES ({', '.join('?' * len(names))})", rows)
    connection.execute("COMMIT")
    kept = time.perf_counter() - begin
    begin = time.perf_counter()
    found = np.array(connection.execute("SELECT * FROM candle ORDER BY open_time").fetchall(), np.int64)
    arrays = [np.ascontiguousarray(found[:, i]) for i in range(len(names))]
    read = time.perf_counter() - begin
    assert len(arrays[0]) == _YEAR
    connection.close()
    return kept, read


def _beside(figure: Figure, peer: float | None) -> Figure:
    if peer is None or figure.value is None:
        return figure
    value = peer * 1e3 if figure.unit == "ms" else peer
    ratio = value / figure.value if figure.better == "lower" else figure.value / value
    return Figure(
        figure.name,
        figure.value,
        figure.unit,
        figure.better,
        figure.samples,
        "SQLite, a row a candle",
        ratio,
    )
