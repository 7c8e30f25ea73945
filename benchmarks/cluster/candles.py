"""The candle store on PostgreSQL: loads by COPY, a year to arrays, live appends, retention; the SQLite store beside it.

Asks for a server (``./dev servers start postgres``); without one every figure says why it has no value.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from benchmarks.measure import Figure, median
from benchmarks.spine.store import _candles
from candlewick.adapters.candles.postgres import PostgresCandleStore
from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.ports.candles import CandleStore
from candlewick.testing import servers

_YEAR = 525_600
_START_S = 1_672_531_200
_EVER = 1 << 62
_READS = 5
_APPENDS = 100
_PEER = "the SQLite store"


def main() -> list[Figure]:
    admin_url = servers.address("postgres")
    if admin_url is None:
        return [Figure("year of 1 m bars to arrays", None, "ms", "lower", note=servers.why_not("postgres"))]
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measured(admin_url, Path(folder)))


async def _measured(admin_url: str, folder: Path) -> list[Figure]:
    name = f"bench_{os.getpid()}"
    admin = await asyncpg.connect(admin_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C'")
    try:
        ours = await _of(PostgresCandleStore(urlsplit(admin_url)._replace(path=f"/{name}").geturl()))
        peer = await _of(SqliteCandleStore(folder / "candles.db"))
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
    return [_beside(figure, other) for figure, other in zip(ours, peer, strict=True)]


async def _of(store: CandleStore) -> list[Figure]:
    await store.open()
    year = _candles(_YEAR)
    first = await _timed(store.append("binance", "BTC-USDT", year))
    second = await _timed(store.append("binance", "ETH-USDT", year))
    again = await _timed(store.append("binance", "ETH-USDT", year))
    begin = time.process_time()
    reads = [await _timed(store.range("binance", "BTC-USDT", 60, 0, _EVER)) for _ in range(_READS)]
    cpu = (time.process_time() - begin) / _READS
    begin = time.perf_counter()
    await store.fold(_EVER)
    fold = time.perf_counter() - begin
    folded = [await _timed(store.range("binance", "BTC-USDT", 60, 0, _EVER)) for _ in range(_READS)]
    day = [await _timed(store.range("binance", "BTC-USDT", 60, *_day(at))) for at in range(50)]
    last = [await _timed(store.last("binance", "BTC-USDT", 60, 1000)) for _ in range(50)]
    more = [_candles(48, start=_YEAR + at * 48) for at in range(_APPENDS)]
    live = [await _timed(store.append("binance", "BTC-USDT", some)) for some in more]
    info = (await store.series())[0]
    drop = await _timed(store.drop_before(60, _day(100)[0]))
    await store.close()
    return [
        Figure("load of a year of 1 m bars", _YEAR / second, "rows/s"),
        Figure("load of a year, the days new to the store", _YEAR / first, "rows/s"),
        Figure("load of a year that is there already", _YEAR / again, "rows/s"),
        Figure("year of 1 m bars to arrays", median(tuple(folded)) * 1e3, "ms", "lower", tuple(folded)),
        Figure(
            "year of 1 m bars to arrays, no day folded yet", median(tuple(reads)) * 1e3, "ms", "lower", tuple(reads)
        ),
        Figure("the same, CPU of the client", cpu * 1e3, "ms", "lower"),
        Figure("folding of two years of 1 m bars", fold * 1e3, "ms", "lower"),
        Figure("day of 1 m bars to arrays", median(tuple(day)) * 1e3, "ms", "lower"),
        Figure("last 1000 bars", median(tuple(last)) * 1e3, "ms", "lower"),
        Figure("append of 48 bars, p50", median(tuple(live)) * 1e3, "ms", "lower"),
        Figure("append of 48 bars, p99", sorted(live)[-1 - _APPENDS // 100] * 1e3, "ms", "lower"),
        Figure("retention: 100 days of two symbols dropped", drop * 1e3, "ms", "lower"),
        Figure("bytes a stored bar", info.bytes / info.rows, "bytes", "lower"),
    ]


def _day(at: int) -> tuple[int, int]:
    start_ns = (_START_S + at * 86_400) * 10**9
    return start_ns, start_ns + 86_400 * 10**9


async def _timed(work: Awaitable[object]) -> float:
    begin = time.perf_counter()
    await work
    return time.perf_counter() - begin


def _beside(figure: Figure, other: Figure) -> Figure:
    if figure.value is None or other.value is None:
        return figure
    ratio = other.value / figure.value if figure.better == "lower" else figure.value / other.value
    return Figure(figure.name, figure.value, figure.unit, figure.better, figure.samples, _PEER, ratio)
