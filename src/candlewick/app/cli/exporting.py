"""Write stored candles to a file: Parquet, Feather (float64) or CSV (exact decimals).

The store is only read, so it works beside a running 'candlewick up'. The file appears when it is whole.
"""

import argparse
import asyncio
import json
from collections import Counter
from pathlib import Path

from candlewick.app.cli.options import add_common, configuration
from candlewick.app.cli.serving import run_until_signal
from candlewick.app.cli.stores import stoppable
from candlewick.contracts.timeframes import SECONDS
from candlewick.kernel import logging
from candlewick.kernel.errors import NotFound

EXAMPLES = """examples:
  candlewick export binance BTC-USDT 1m --out btc.parquet
  candlewick export binance BTC-USDT 1h --from 2024-01-01 --to 2024-02-01 --out january.csv
"""
_PIECE = 50_000


class NothingToExport(NotFound):
    """No candle of the series is stored in the time asked for."""

    code = "NOTHING_TO_EXPORT"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("exchange")
    parser.add_argument("symbol", help="BASE-QUOTE, e.g. BTC-USDT")
    parser.add_argument("timeframe", choices=list(SECONDS))
    parser.add_argument("--from", dest="start", metavar="TIME", help="first open time: ISO 8601 or ms")
    parser.add_argument("--to", dest="end", metavar="TIME", help="open times before this: ISO 8601 or ms")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".parquet, .feather or .csv")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    add_common(parser)


def run(parsed: argparse.Namespace) -> int:
    return run_until_signal(lambda stop: stoppable(_export(parsed), stop))


async def _export(parsed: argparse.Namespace) -> int:
    from candlewick.adapters.files.tables.names import symbol_of
    from candlewick.adapters.files.tables.writing import writing
    from candlewick.app.profiles.embedded import EmbeddedResources
    from candlewick.contracts.base import ORIGIN_NAMES
    from candlewick.services.history.domain.queries import window

    start, end = window(parsed.start, parsed.end)
    config = configuration(parsed)
    logging.configure("warning", config.app.log_format)
    symbol, seconds = symbol_of(parsed.symbol) or parsed.symbol, SECONDS[parsed.timeframe]
    if not config.data_dir.is_dir():
        raise NothingToExport(f"there is no data dir, was {str(config.data_dir)!r}")
    resources = EmbeddedResources(config.data_dir, config.app, mode="replay")
    store = await resources.own("candles", "history", "export")
    origins: Counter[str] = Counter()
    scales: dict[str, str] = {}

    def metadata() -> dict[str, str]:
        return {
            "exchange": parsed.exchange,
            "symbol": symbol,
            "timeframe": parsed.timeframe,
            "origins": json.dumps(dict(origins)),
            **scales,
        }

    try:
        known = {(s.exchange, s.symbol, s.timeframe_s): s for s in await store.series()}
        info = known.get((parsed.exchange, symbol, seconds))
        if info is None:
            raise NothingToExport(
                f"no {parsed.timeframe} candles of {parsed.exchange} {symbol} are stored",
                hint=f"Stored there: {', '.join(sorted({f'{e} {s}' for e, s, _ in known})[:12]) or 'nothing'}",
            )
        at, last, rows = max(info.first_ns, start or 0), info.last_ns + 1, 0
        last = min(last, end) if end is not None else last
        first_ns = last_ns = 0
        with writing(parsed.out, metadata) as write:
            while at < last:
                piece = await store.range(parsed.exchange, symbol, seconds, at, last, limit=_PIECE)
                if not len(piece.open_time):
                    break
                await asyncio.to_thread(write, piece)
                origins.update(ORIGIN_NAMES[origin] for origin in piece.origin.tolist())
                scales.update(price_scale=str(piece.price_scale), size_scale=str(piece.size_scale))
                first_ns = first_ns or int(piece.open_time[0])
                last_ns, rows = int(piece.open_time[-1]), rows + len(piece.open_time)
                at = last_ns + 1
            if not rows:
                raise NothingToExport(
                    f"no {parsed.timeframe} candles of {parsed.exchange} {symbol} are stored in that time"
                )
    finally:
        await store.close()
    summary = {
        "file": str(parsed.out), "exchange": parsed.exchange, "symbol": symbol, "timeframe": parsed.timeframe,
        "rows": rows, "first": first_ns // 1_000_000, "last": last_ns // 1_000_000, "origins": dict(origins),
    }  # fmt: skip
    if parsed.json:
        print(json.dumps(summary))
    else:
        print(f"{parsed.out}: {rows:,} {parsed.timeframe} candles of {parsed.exchange} {symbol}")
    return 0
