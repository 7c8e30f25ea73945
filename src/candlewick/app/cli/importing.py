"""Read candles or trades from files into the store.

CSV, JSON, Parquet and Feather, also gzipped or zipped. What the columns mean, the unit of the times, the timeframe and
the symbol are recognised where they can be. Candles are kept as they are, and longer ones are made of them; trades go
through the log and the stream processor, which builds every timeframe. Bad rows are refused, counted and listed,
never changed. Works beside a running 'candlewick up' on the same data dir; stopped, it goes on when started again.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from candlewick.app.cli.options import add_common, configuration
from candlewick.app.cli.serving import run_until_signal
from candlewick.contracts.timeframes import SECONDS
from candlewick.kernel import logging
from candlewick.kernel.errors import Rejected

EXAMPLES = """examples:
  candlewick import BTCUSDT-1m-2024-01.zip --exchange binance --symbol BTC-USDT
  candlewick import data/*.feather --exchange binance
  candlewick import trades.json.gz --symbol XRP-ETH --complete
  candlewick import odd.csv --symbol BTC-USD --timeframe 1d --columns time,low,high,open,close,volume
"""
_TELL_EVERY_S = 0.5
# An import only stores; what the venue may add is for the running service to ask.
_QUIET = ("history.fetch=false", "history.repair=false", "history.keep_house=false", "history.backup_hours=0")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--exchange", default="binance", help="exchange the data comes from (default binance)")
    parser.add_argument("--symbol", help="BASE-QUOTE, e.g. BTC-USDT (default: as the file is named)")
    parser.add_argument("--timeframe", choices=list(SECONDS), help="of candles (default: as their times say)")
    parser.add_argument(
        "--complete", action="store_true",
        help="the trades are all there are from the first one's minute to the end of the last one's: minutes without "
        "trades become empty candles",
    )  # fmt: skip
    parser.add_argument("--aggregated", action="store_true", help="trades are aggregates (Binance aggTrades)")
    parser.add_argument("--columns", metavar="A,B,...", help="names of the columns, in place of the file's own")
    parser.add_argument("--round", type=int, metavar="DIGITS", help="permit rounding of numbers with over 12 decimals")
    parser.add_argument("--no-derive", action="store_true", help="make no longer candles of imported ones")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    add_common(parser)


def run(parsed: argparse.Namespace) -> int:
    return run_until_signal(lambda stop: _import(parsed, stop))


def _options(parsed: argparse.Namespace) -> Any:
    from candlewick.adapters.files.tables.names import symbol_of
    from candlewick.app.importing.source import Options, SymbolNotClear

    symbol = symbol_of(parsed.symbol) if parsed.symbol else None
    if parsed.symbol and symbol is None:
        raise SymbolNotClear(f"--symbol must be BASE-QUOTE, e.g. BTC-USDT, was {parsed.symbol!r}")
    return Options(
        exchange=parsed.exchange,
        symbol=symbol,
        timeframe_s=SECONDS[parsed.timeframe] if parsed.timeframe else None,
        is_complete=parsed.complete,
        is_aggregated=parsed.aggregated,
        columns=tuple(name.strip() for name in parsed.columns.split(",")) if parsed.columns else None,
        round_to=parsed.round,
        derive=not parsed.no_derive,
    )


async def _import(parsed: argparse.Namespace, stop: asyncio.Event) -> int:
    from candlewick.app.importing.source import look, summary
    from candlewick.app.profiles.embedded import EmbeddedResources
    from candlewick.app.runtime.host import running

    started = time.perf_counter()
    options = _options(parsed)
    sources = [await asyncio.to_thread(look, path, options) for path in parsed.files]
    config = configuration(parsed, flags=_QUIET)
    logging.configure("warning", config.app.log_format)
    names = ["history"]
    if any(source.content == "trades" for source in sources):
        from candlewick.app import kernels

        await asyncio.to_thread(kernels.warm)
        names = ["stream", "history"]
    resources = EmbeddedResources(config.data_dir, config.app, mode="replay")
    member = f"import-{os.getpid()}"
    stopped = asyncio.ensure_future(stop.wait())
    async with running(names, config, resources, member=member) as host:
        importing = asyncio.ensure_future(_work(host, resources, options, sources))
        await asyncio.wait({importing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not importing.done():
            importing.cancel()
            await asyncio.wait({importing})
            print("\nstopped; the same command goes on from here", file=sys.stderr)
            return 130
        importing.result()
    stopped.cancel()
    summaries = [summary(source) for source in sources]
    return _tell(summaries, time.perf_counter() - started, as_json=parsed.json)


async def _work(host: Any, resources: Any, options: Any, sources: list[Any]) -> None:
    """One job a file, kept in the data dir, so that an import that was stopped knows how far it came."""
    from candlewick.app.importing.publisher import Publisher
    from candlewick.app.importing.work import Work

    async def stored() -> None:
        if "stream" in host.hosted:
            await host.hosted["stream"].service.caught_up()
        await host.hosted["history"].service.caught_up()

    jobs = await resources.own("jobs", "import", host.member)
    store = await resources.own("candles", "history", host.member)
    publisher = Publisher(resources.log, resources.ids, resources.clock)
    work = Work(publisher, store, resources.clock, options, stored=stored)
    by_kind = {f"import.{source.fingerprint(options)}": source for source in sources}
    for kind, source in by_kind.items():

        async def job(context: Any, _args: Mapping[str, Any], source: Any = source) -> None:
            await work.run(source, context)

        jobs.register(kind, job)
    try:
        await jobs.start()
        for kind, source in by_kind.items():
            submitted = await jobs.submit(kind, {"file": str(source.path)}, key=kind, max_tries=1)
            await _watch(jobs, submitted.id, source.path.name)
    finally:
        await jobs.stop()
        await publisher.close()
        await store.close()


async def _watch(jobs: Any, job_id: str, name: str) -> None:
    """A line that moves, until the job has ended. Raises what ended it."""
    waiting = asyncio.ensure_future(jobs.wait(job_id))
    shows = sys.stderr.isatty()
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=_TELL_EVERY_S)
            if shows:
                note = (await jobs.get(job_id)).note
                print(f"\r\x1b[K{name}  {note}", end="", file=sys.stderr, flush=True)
    finally:
        waiting.cancel()
        if shows:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    job = waiting.result()
    if job.state != "done":
        raise ImportFailed(f"{name}: {(job.error or {}).get('detail', job.state)}")


class ImportFailed(Rejected):
    """A file could not be imported for the reason given."""

    code = "IMPORT_FAILED"


def _tell(summaries: list[dict[str, Any]], seconds: float, *, as_json: bool) -> int:
    """Print what became of the rows; 1 when a file was damaged or gave nothing."""
    failed = any(each["damage"] or not each["accepted"] for each in summaries)
    totals = {
        "rows": sum(each["rows"] for each in summaries),
        "accepted": sum(each["accepted"] for each in summaries),
        "refused": sum(sum(each["refused"].values()) for each in summaries),
        "seconds": round(seconds, 3),
    }
    if as_json:
        print(json.dumps({"files": summaries, **totals}))
        return int(failed)
    for each in summaries:
        _tell_file(each)
    if len(summaries) > 1:
        print(f"{len(summaries)} files: {totals['accepted']:,} of {totals['rows']:,} rows accepted")
    print(f"{seconds:.1f} s")
    return int(failed)


def _tell_file(each: dict[str, Any]) -> None:
    from candlewick.adapters.files.tables.errors import ROW_CODES

    what = f"{each['timeframe']} candles" if each["timeframe"] else each["content"]
    print(f"{each['file']}: {each['symbol']}, {each['accepted']:,} of {each['rows']:,} {what} accepted")
    if each["first"] is not None:
        print(f"  from {_time(each['first'])} to {_time(each['last'])}")
    if each["content"] == "trades":
        if each["stored"] is not None:
            print(f"  1m candles in the store there: {each['stored']:,}")
    elif each["stored"] is not None and each["stored"] < each["accepted"]:
        print(f"  {each['accepted'] - each['stored']:,} stand behind better candles that were stored before")
    if each["derived"]:
        print(f"  {each['derived']:,} longer candles made of them")
    for note, count in each["notes"].items():
        print(f"  note: {note} ({count:,})")
    for code, count in each["refused"].items():
        print(f"  refused {count:,}: {code}, {ROW_CODES[code]}")
    for one in each["first_refused"]:
        print(f"    row {one['row']}: {one['code']}: {one['value']}")
    if each["damage"]:
        print(f"  damaged: {each['damage']}; the rows before the damage were imported")


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
