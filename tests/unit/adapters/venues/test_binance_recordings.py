"""Real recordings through the parser: candles equal to the official ones, books equal to another library's."""

import bz2
import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest

from candlewick.adapters.frames.reader import read_blocks
from candlewick.adapters.venues.binance.parse import BinanceParser
from candlewick.contracts.collector import BookUpdated, GapSuspected, Progress, QuoteUpdated
from candlewick.kernel.decimals import parse_mantissa
from candlewick.testing.binance.sink import KeepingSink
from candlewick.testing.shared_data import REASON, shared_data

HFT = shared_data("A_raw_feeds/binance_raw_hft")
CRYPTOFEED = shared_data("A_raw_feeds/cryptofeed")
NS = 1_000_000
MINUTE = 60_000 * NS

needs_hft = pytest.mark.skipif(HFT is None, reason=REASON)
needs_cryptofeed = pytest.mark.skipif(CRYPTOFEED is None, reason=REASON)


def complain(code: str, detail: str) -> None:
    raise AssertionError(f"{code}: {detail}")


def played(many: bool) -> KeepingSink:
    assert HFT is not None
    parser, sink = BinanceParser([], discover=True), KeepingSink()
    last = 0
    for path in sorted(HFT.glob("*.gz")):
        for block in read_blocks(path, complain):
            if many:
                parser.parse_many(block.frames, sink)
            else:
                for ts_recv, raw in block.frames:
                    parser.parse(ts_recv, raw, sink)
            last = block.frames[-1][0]
    parser.finish(last, sink)
    return sink


@pytest.fixture(scope="module")
def recording() -> KeepingSink:
    return played(many=True)


@pytest.mark.slow
@needs_hft
def test_every_trade_is_there_once_and_nothing_is_nonsense(recording: KeepingSink) -> None:
    ids = [row[0] for row in recording.trades()]
    assert len(ids) == 9757 + 10147
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert not recording.complaints
    assert not recording.of(GapSuspected)


@needs_hft
@pytest.mark.slow
def test_blocks_give_what_single_frames_give(recording: KeepingSink) -> None:
    single = played(many=False)
    assert single.trades() == recording.trades()
    assert single.of(Progress) == recording.of(Progress)
    assert single.of(QuoteUpdated) == recording.of(QuoteUpdated)


@needs_hft
def test_integer_sums_equal_the_official_candles(recording: KeepingSink) -> None:
    """Law 1: every fully covered minute, volume included."""
    assert HFT is not None
    bars: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for _, price, size, ts_event, _ in recording.trades():
        bars[ts_event // MINUTE * MINUTE].append((price, size))
    first, last = min(bars), max(bars)
    checked = 0
    for path in sorted(HFT.glob("*.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                minute = int(row["open_time_ms"]) * NS
                if minute in {first, last}:
                    continue
                prices = [p for p, _ in bars[minute]]
                mine = [prices[0], max(prices), min(prices), prices[-1], sum(q for _, q in bars[minute])]
                official = [parse_mantissa(row[k], 8) for k in ("open", "high", "low", "close", "volume")]
                assert mine == official, row
                checked += 1
    assert checked == 10


@needs_hft
def test_no_trade_comes_behind_what_progress_promised(recording: KeepingSink) -> None:
    """Law 3: complete_through never goes back, and no later batch holds a trade before it."""
    through = 0
    for message, _ in recording.messages:
        if isinstance(message, Progress):
            assert message.complete_through >= through
            through = message.complete_through
        elif hasattr(message, "columns_v1"):
            assert int(message.columns_v1.ts_event.min()) >= through
    assert through


@needs_hft
def test_the_book_stays_in_step_with_the_best_quotes(recording: KeepingSink) -> None:
    books = recording.of(BookUpdated)
    assert len(books) > 2000
    assert all(b.in_sequence for b in books)
    assert all(len(b.bid_price) == len(b.ask_price) == 20 for b in books)
    assert all(b.bid_price[0] < b.ask_price[0] for b in books)


def lines(name: str) -> list[str]:
    assert CRYPTOFEED is not None
    return bz2.decompress((CRYPTOFEED / name).read_bytes()).decode().splitlines()


@needs_cryptofeed
@pytest.mark.parametrize("name", ["BINANCE", "BINANCE_US"])
def test_books_and_trades_equal_what_another_library_made_of_them(name: str) -> None:
    """Best levels after every diff and every trade, as cryptofeed 2.4.1 saw them."""
    assert CRYPTOFEED is not None
    expected_path: Path = CRYPTOFEED.parent / "cryptofeed_expected" / f"{name}.events.jsonl.bz2"
    expected = [json.loads(line) for line in bz2.decompress(expected_path.read_bytes()).decode().splitlines()]
    events: list[tuple[int, str, bytes]] = []
    for line in lines(f"{name}.http.0.0.bz2"):
        url, _, reply = line.partition(" -> ")
        received, _, body = reply.partition(": ")
        if "symbol=" in url:
            symbol = url.split("symbol=")[1].split("&")[0]
            events.append((int(float(received) * 1e9), symbol, body.encode()))
    for line in lines(f"{name}.ws.1.0.bz2"):
        received, _, frame = line.partition(": ")
        if frame.startswith("{"):
            events.append((int(float(received) * 1e9), "", frame.encode()))
    events.sort(key=lambda e: e[0])
    parser, sink = BinanceParser([], discover=True, aggregated=True, book_ns=0), KeepingSink()
    for ts_recv, symbol, raw in events:
        if symbol:
            stream = f'{{"stream":"{symbol.lower()}@depthSnapshot","data":'.encode()
            parser.parse(ts_recv, stream + raw + b"}", sink)
        else:
            parser.parse(ts_recv, raw, sink)
    parser.finish(events[-1][0], sink)
    assert not sink.complaints
    trades = [(e["symbol"], int(e["id"]), parse_mantissa(e["price"], 8), parse_mantissa(e["amount"], 8))
              for e in expected if e["ch"] == "trades"]  # fmt: skip
    mine = [(s, row[0], row[1], row[2]) for s in {t[0] for t in trades} for row in sink.trades(s)]
    assert sorted(mine) == sorted(trades)
    books = {(e["symbol"], e["seq"]): e for e in expected if e["ch"] == "l2_book"}
    compared = 0
    for book in sink.of(BookUpdated):
        other = books.get((book.symbol, book.sequence))
        if other is None or not len(book.bid_price) or not len(book.ask_price):
            continue
        best = [parse_mantissa(x, 8) for x in (*other["best_bid"], *other["best_ask"])]
        assert [book.bid_price[0], book.bid_size[0], book.ask_price[0], book.ask_size[0]] == best
        compared += 1
    assert compared > len(books) * 0.8
