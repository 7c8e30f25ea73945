"""Write a venue's raw frames to a file, as they come, until Ctrl-C. What was written survives a kill; ``candlewick
replay`` plays it again."""

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path

from candlewick.app import session as sessions
from candlewick.app.cli.options import add_common, configuration
from candlewick.app.cli.serving import run_until_signal
from candlewick.contracts.base import Message
from candlewick.contracts.collector import ConnectionChanged, TradeBatch
from candlewick.ports.frames import FrameTap

EXAMPLES = """examples:
  candlewick record BTC-USDT ETH-USDT --out recordings/
  candlewick record BTC-USDT --seconds 600
"""
_TELL_INTERVAL_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL", help="symbols such as BTC-USDT")
    parser.add_argument("--exchange", default=sessions.LIVE, help=f"venue (default {sessions.LIVE})")
    parser.add_argument(
        "--out", type=Path, default=Path("recordings"), metavar="DIR", help="folder (default recordings)"
    )
    parser.add_argument("--seconds", type=float, help="stop after this long")
    add_common(parser)


class _Recorder:
    """ports.venue.Sink that keeps the frames and counts the rest."""

    def __init__(self, tap: FrameTap) -> None:
        self._tap = tap
        self.counts: Counter[str] = Counter()

    def message(self, message: Message, ts_recv: int) -> None:
        if isinstance(message, TradeBatch):
            self.counts["trades"] += len(message.columns_v1.trade_id)
        elif isinstance(message, ConnectionChanged):
            print(f"\n{message.exchange} {message.state}: {message.detail}", file=sys.stderr)

    def frame(self, ts_recv: int, raw: bytes) -> None:
        self.counts["frames"] += 1
        self._tap.write(ts_recv, raw)

    def nonsense(self, code: str, detail: str, raw: bytes) -> None:
        self.counts[f"refused {code}"] += 1

    def is_congested(self) -> bool:
        return False


def run(parsed: argparse.Namespace) -> int:
    return run_until_signal(lambda stop: _record(parsed, stop))


async def _record(parsed: argparse.Namespace, stop: asyncio.Event) -> int:
    from candlewick.adapters.frames.reader import Header
    from candlewick.adapters.frames.writer import FrameWriter
    from candlewick.app.profiles.machine import new_venue
    from candlewick.kernel.system import SystemClock

    config = configuration(parsed)
    clock = SystemClock()
    venue = new_venue(parsed.exchange, clock, config.app, config.data_dir)
    try:
        listed = {i.symbol: i for i in await venue.instruments()}
        unknown = [s for s in parsed.symbols if s not in listed]
        if unknown:
            print(f"candlewick: {parsed.exchange} does not list {', '.join(unknown)}", file=sys.stderr)
            return 1
        header = Header(parsed.exchange, symbols=tuple(parsed.symbols), started=clock.now_ns())
        writer = FrameWriter(parsed.out, parsed.exchange, header, clock)
        recorder = _Recorder(writer)
        feed = venue.feed(parsed.symbols, [listed[s] for s in parsed.symbols], recorder)
        tasks = [asyncio.ensure_future(work) for work in (feed.run(), writer.run(), _tell(recorder))]
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({tasks[0], stopped}, timeout=parsed.seconds, return_when=asyncio.FIRST_COMPLETED)
        await feed.close()
        for task in (*tasks, stopped):
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]
    finally:
        await venue.close()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for name, value in recorder.counts.items():
        print(f"{name:12} {value}")
    print(f"{'written to':12} {writer.path or 'nothing: no frame came'}")
    return 0


async def _tell(recorder: _Recorder) -> None:
    while sys.stderr.isatty():
        await asyncio.sleep(_TELL_INTERVAL_S)
        line = f"\r{recorder.counts['frames']:,} frames, {recorder.counts['trades']:,} trades"
        print(line, end="", file=sys.stderr, flush=True)
