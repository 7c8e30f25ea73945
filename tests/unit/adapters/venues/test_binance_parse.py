"""What one frame, good or bad, becomes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from candlewick.adapters.venues.binance.instruments import guessed_instrument
from candlewick.adapters.venues.binance.parse import BinanceParser
from candlewick.contracts.collector import BookUpdated, GapSuspected, Progress, QuoteUpdated, TradeBatch
from candlewick.contracts.market import Instrument
from candlewick.kernel.decimals import to_text
from candlewick.kernel.errors import Corrupt
from candlewick.ports.venue import NONSENSE
from candlewick.testing.binance.sink import KeepingSink

T0 = 1_700_000_000_000  # ms
NS = 1_000_000
BTC = Instrument("binance", "BTC-USDT", "BTCUSDT", "BTC", "USDT", "0.01", "0.00001", 2, 5)


def trade(trade_id: int, ms: int = T0, price: Any = "100.10000000", size: Any = "0.50000000", **more: Any) -> bytes:
    data = {"e": "trade", "E": ms, "s": "BTCUSDT", "t": trade_id, "p": price, "q": size, "T": ms, "m": False, "M": True}
    return combined("btcusdt@trade", data | more)


def combined(stream: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def depth(first: int, last: int, bids: list[list[str]], asks: list[list[str]], ms: int = T0) -> bytes:
    data = {"e": "depthUpdate", "E": ms, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    return combined("btcusdt@depth@100ms", data)


def snapshot(sequence: int) -> bytes:
    return json.dumps(
        {"lastUpdateId": sequence, "bids": [["99.00", "1"], ["98.00", "2"]], "asks": [["101.00", "3"]]}
    ).encode()


@pytest.fixture
def sink() -> KeepingSink:
    return KeepingSink()


@pytest.fixture
def parser() -> BinanceParser:
    return BinanceParser([BTC])


def test_trade_becomes_exact_mantissas(parser: BinanceParser, sink: KeepingSink) -> None:
    parser.parse(T0 * NS, trade(7), sink)
    parser.parse(T0 * NS + 1, trade(8, T0 + 1, "61837.63000000", "1.23456000", m=True), sink)
    parser.flush(T0 * NS + 2, sink)
    assert sink.trades("BTC-USDT") == [(7, 10010, 50000, T0 * NS, 1), (8, 6183763, 123456, (T0 + 1) * NS, 0)]
    batch = sink.of(TradeBatch)[0]
    assert (batch.columns_v1.price_scale, batch.columns_v1.size_scale) == (2, 5)
    assert not batch.columns_v1.price.flags.writeable
    assert not sink.complaints


def test_raw_events_are_understood_as_combined_ones(parser: BinanceParser, sink: KeepingSink) -> None:
    parser.parse(T0 * NS, json.dumps(json.loads(trade(7))["data"]).encode(), sink)
    parser.parse(T0 * NS, b'{"u":1,"s":"BTCUSDT","b":"99.00","B":"1","a":"101.00","A":"2"}', sink)
    parser.finish(T0 * NS, sink)
    assert [row[0] for row in sink.trades()] == [7]
    assert sink.of(QuoteUpdated)[0].bid == 9900


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", "BAD_FRAME"),
        (b"{", "BAD_FRAME"),
        (b"\xff\xfe", "BAD_FRAME"),
        (b"[" * 100_000, "BAD_TYPE"),
        (b"[1,2]", "BAD_TYPE"),
        (b"{}", "BAD_FRAME"),
        (trade(7)[:-9], "BAD_FRAME"),
        (trade(7) + trade(8), "BAD_FRAME"),
        (trade(7, t="x"), "BAD_TYPE"),
        (trade(7, t=1 << 70), "BAD_TYPE"),
        (trade(7, t=-1), "BAD_TYPE"),
        (trade(7, T=None), "BAD_TYPE"),
        (trade(7, m="yes"), "BAD_TYPE"),
        (trade(7, price="NaN"), "BAD_DECIMAL"),
        (trade(7, price="Infinity"), "BAD_DECIMAL"),
        (trade(7, price="1_0"), "BAD_TYPE"),
        (trade(7, price="0.00000000"), "BAD_PRICE"),
        (trade(7, price="-1.00000000"), "BAD_PRICE"),
        (trade(7, size="0.00000000"), "BAD_SIZE"),
        (trade(7, size="-0.50000000"), "BAD_SIZE"),
        (trade(7, size="99999999999999999999"), "BAD_DECIMAL"),
        (trade(7, T0 + 61_000), "CLOCK_JUMP"),
        (trade(7, T0 - 61_000), "CLOCK_JUMP"),
        (trade(7, T=T0 - 61_000), "CLOCK_JUMP"),
        (trade(7, s="ETHUSDT"), "SYMBOL_MISMATCH"),
        (trade(7).replace(b"btcusdt@", b"ethusdt@"), "UNKNOWN_STREAM"),
        (trade(7).replace(b"@trade", b"@nothing"), "UNKNOWN_STREAM"),
        (b'{"e":"trade","s":"ETHUSDT","E":1}', "UNKNOWN_SYMBOL"),
        (snapshot(5), "UNKNOWN_SNAPSHOT"),
        (b'{"error":{"code":2,"msg":"no"},"id":1}', "REQUEST_REFUSED"),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_nonsense_is_named_and_costs_nothing_else(frame: bytes, code: str, many: bool) -> None:
    """Law 1 and 5: a bad frame has a stable code; the good ones around it are all kept."""
    parser, sink = BinanceParser([BTC]), KeepingSink()
    good = [(T0 * NS + i, trade(100 + i, T0 + i)) for i in range(40)]
    frames = [*good[:20], (T0 * NS + 20, frame), *good[20:]]
    if many:
        parser.parse_many(frames, sink)
    else:
        for ts_recv, raw in frames:
            parser.parse(ts_recv, raw, sink)
    parser.finish(T0 * NS + 40, sink)
    assert dict(sink.codes()) == {code: 1}
    assert code in NONSENSE
    assert [row[0] for row in sink.trades()] == list(range(100, 140))
    assert not sink.of(GapSuspected)


def test_answers_to_requests_are_no_nonsense(parser: BinanceParser, sink: KeepingSink) -> None:
    parser.parse(T0 * NS, b'{"result":null,"id":1}', sink)
    assert not sink.complaints


def test_time_under_a_minute_off_is_no_fault(parser: BinanceParser, sink: KeepingSink) -> None:
    """Law 5."""
    parser.parse(T0 * NS - 59 * 10**9, trade(1), sink)
    parser.flush(T0 * NS, sink)
    assert len(sink.trades()) == 1
    assert not sink.complaints


def test_a_wrong_machine_clock_is_found_out(parser: BinanceParser, sink: KeepingSink) -> None:
    """Five agreeing events a day off: the machine's clock is wrong, and trades are taken from then on."""
    day = 86_400_000
    for i in range(8):
        parser.parse((T0 + day + i) * NS, trade(1 + i, T0 + i), sink)
    parser.finish((T0 + day + 9) * NS, sink)
    assert [row[0] for row in sink.trades()] == [5, 6, 7, 8]
    assert sink.codes() == {"CLOCK_JUMP": 4, "CLOCK_OFF": 1}


def test_more_digits_than_the_tick_widen_the_scale(parser: BinanceParser, sink: KeepingSink) -> None:
    """Law 1: digits as the venue sends them; a tick that changed while we run loses no trade."""
    frames = [(T0 * NS + i, trade(i, T0 + i, "1.00100000" if i == 30 else "1.00000000")) for i in range(1, 60)]
    parser.parse_many(frames, sink)
    parser.finish(T0 * NS + 60, sink)
    assert [row[0] for row in sink.trades()] == list(range(1, 60))
    scales = [b.columns_v1.price_scale for b in sink.of(TradeBatch)]
    assert scales[0] == 2
    assert scales[-1] == 3
    values = [p / 10**b.columns_v1.price_scale for b in sink.of(TradeBatch) for p in b.columns_v1.price.tolist()]
    assert values == [1.001 if i == 30 else 1.0 for i in range(1, 60)]
    assert sink.codes() == {"SCALE_WIDENED": 1}


@pytest.mark.parametrize("size", ["68268838.17508792", "90071992.54740993", "22517998136852.49000000"])
def test_large_sizes_keep_their_last_digit(parser: BinanceParser, sink: KeepingSink, size: str) -> None:
    """Law 1: where two roundings could cost a digit the string is parsed."""
    parser.parse(T0 * NS, trade(1, size=size), sink)
    parser.finish(T0 * NS, sink)
    scale = sink.of(TradeBatch)[0].columns_v1.size_scale
    assert to_text(sink.trades()[0][2], scale).rstrip("0") == size.rstrip("0")


def test_sizes_beyond_exact_floats_are_parsed_from_their_digits(sink: KeepingSink) -> None:
    """Law 1: beyond what floats hold the string is parsed."""
    pepe = Instrument("binance", "PEPE-USDT", "PEPEUSDT", "PEPE", "USDT", "0.00000001", "1", 8, 0)
    parser = BinanceParser([pepe])
    raw = trade(1, size="9007199254740993.00000000", s="PEPEUSDT").replace(b"btcusdt", b"pepeusdt")
    parser.parse(T0 * NS, raw, sink)
    parser.finish(T0 * NS, sink)
    assert sink.trades()[0][2] == 9007199254740993


def ids_of(rows: list[tuple[int, int, int, int, int]]) -> list[int]:
    return [row[0] for row in rows]


def run(ids: list[int], **options: Any) -> KeepingSink:
    parser, sink = BinanceParser([BTC], **options), KeepingSink()
    for i, trade_id in enumerate(ids):
        parser.parse((T0 + i) * NS, trade(trade_id, T0 + i), sink)
    parser.finish((T0 + len(ids)) * NS, sink)
    return sink


def test_id_jump_is_a_gap_with_exact_ids() -> None:
    """Law 7."""
    sink = run([10, 11, 15, 16])
    (gap,) = sink.of(GapSuspected)
    assert (gap.first_missing_id, gap.last_missing_id, gap.reason) == (12, 14, "missing_ids")
    assert (gap.start_ns, gap.end_ns) == ((T0 + 1) * NS, (T0 + 2) * NS)
    assert ids_of(sink.trades()) == [10, 11, 15, 16]


def test_duplicates_are_dropped_and_late_missing_ones_taken() -> None:
    """Law 7: after 12..14 are missing, 13 comes late and is kept once."""
    parser, sink = BinanceParser([BTC]), KeepingSink()
    for trade_id in [10, 11, 15, 13, 13, 11, 16]:
        parser.parse(T0 * NS, trade(trade_id), sink)
    parser.finish(T0 * NS, sink)
    assert ids_of(sink.trades()) == [10, 11, 15, 13, 16]
    state = parser.state("BTC-USDT")
    assert state is not None
    assert state.trades.duplicates == 2
    assert not sink.complaints


def test_an_older_id_with_a_newer_time_is_nonsense() -> None:
    sink = run([10, 11, 10, 12])
    assert sink.codes() == {"ID_WENT_BACK": 1}
    assert ids_of(sink.trades()) == [10, 11, 12]


def test_one_wild_id_does_not_make_the_rest_look_old() -> None:
    sink = run([10, 11, 10**15, 12, 13])
    assert ids_of(sink.trades()) == [10, 11, 12, 13]
    assert sink.codes() == {"ID_JUMPED": 1}
    assert not sink.of(GapSuspected)


def test_a_confirmed_far_jump_is_a_gap() -> None:
    sink = run([10, 10_000_000, 10_000_001])
    assert ids_of(sink.trades()) == [10, 10_000_000, 10_000_001]
    assert sink.of(GapSuspected)[0].last_missing_id == 9_999_999


def test_progress_keeps_the_margin_and_comes_once_a_second() -> None:
    """Law 3: venue time of any frame, minus the margin; trades are handed over before it."""
    parser, sink = BinanceParser([BTC], margin_ns=500 * NS), KeepingSink()
    for i in range(0, 5000, 100):
        kline = combined("btcusdt@kline_1m", {"e": "kline", "E": T0 + i, "s": "BTCUSDT", "k": {}})
        parser.parse((T0 + i) * NS, trade(1, T0) if not i else kline, sink)
    said = [(p.complete_through, p.feed_alive, p.last_id) for p in sink.of(Progress)]
    assert said[0] == (T0 * NS, False, -1)
    assert [p for p, alive, _ in said[1:]] == [(T0 + i - 100 - 500) * NS for i in (1000, 2000, 3000, 4000)]
    assert all(alive for _, alive, _ in said[1:])
    kinds = [type(m).__name__ for m, _ in sink.messages]
    assert kinds.index("TradeBatch") < kinds.index("Progress", 1)


def test_silence_in_a_recording_is_no_proof_of_life() -> None:
    """Law 4: between two frames 20 s apart nothing was proven, and a gap is suspected."""
    parser, sink = BinanceParser([BTC]), KeepingSink()
    parser.parse(T0 * NS, trade(1), sink)
    parser.parse((T0 + 20_000) * NS, trade(2, T0 + 20_000), sink)
    parser.finish((T0 + 20_000) * NS, sink)
    said = [(p.complete_through // NS - T0, p.feed_alive) for p in sink.of(Progress)]
    assert (20_000, False) in said
    assert not [through for through, alive in said if alive and 0 < through < 20_000]
    (gap,) = sink.of(GapSuspected)
    assert (gap.reason, gap.start_ns, gap.end_ns) == ("silence", T0 * NS, (T0 + 20_000) * NS)


def test_book_follows_the_documented_rules(parser: BinanceParser, sink: KeepingSink) -> None:
    ms = T0
    parser.parse(ms * NS, depth(8, 10, [["99.00", "5"]], [], ms), sink)
    assert parser.wanted_snapshots() == ["BTC-USDT"]
    parser.parse(ms * NS, depth(11, 12, [["99.50", "1"]], [["101.00", "0"], ["102.00", "4"]], ms), sink)
    assert parser.snapshot("BTC-USDT", snapshot(10), ms * NS, sink)
    book = sink.of(BookUpdated)[-1]
    assert (book.sequence, book.in_sequence) == (12, True)
    assert list(zip(book.bid_price.tolist(), book.bid_size.tolist(), strict=True)) == [
        (9950, 100000),
        (9900, 100000),
        (9800, 200000),
    ]
    assert list(zip(book.ask_price.tolist(), book.ask_size.tolist(), strict=True)) == [(10200, 400000)]


def test_orders_from_before_a_coarser_tick_stay_in_the_book(parser: BinanceParser, sink: KeepingSink) -> None:
    """A finer size is rounded, a finer price makes the book finer; trades keep their scale."""
    parser.parse(T0 * NS, depth(10, 10, [], []), sink)
    parser.snapshot("BTC-USDT", snapshot(10), T0 * NS, sink)
    parser.parse((T0 + 200) * NS, depth(11, 11, [["98.5", "25.426189"], ["97", "0.00000001"]], [], T0 + 200), sink)
    assert sink.of(BookUpdated)[-1].bid_size.tolist() == [100000, 2542619, 200000, 1]
    parser.parse((T0 + 400) * NS, depth(12, 12, [["98.505", "1"]], [], T0 + 400), sink)
    book = sink.of(BookUpdated)[-1]
    assert book.price_scale == 8
    assert book.bid_price.tolist()[:3] == [99_00000000, 98_50500000, 98_50000000]
    parser.parse((T0 + 500) * NS, trade(1, T0 + 500), sink)
    parser.finish((T0 + 500) * NS, sink)
    assert sink.of(TradeBatch)[0].columns_v1.price_scale == 2
    assert not sink.complaints


def test_an_old_snapshot_is_refused(parser: BinanceParser, sink: KeepingSink) -> None:
    parser.parse(T0 * NS, depth(20, 21, [], []), sink)
    assert not parser.snapshot("BTC-USDT", snapshot(10), T0 * NS, sink)
    assert parser.wanted_snapshots() == ["BTC-USDT"]
    assert parser.snapshot("BTC-USDT", snapshot(19), T0 * NS, sink)


@pytest.mark.parametrize(
    ("diff", "code"),
    [
        (lambda: depth(13, 14, [], []), "BOOK_SEQUENCE"),
        (lambda: depth(11, 12, [["105.00", "1"]], []), "BOOK_CROSSED"),
        (lambda: depth(11, 12, [["-1", "1"]], []), "BAD_DECIMAL"),
        (lambda: depth(11, 12, [["99", "NaN"]], []), "BAD_DECIMAL"),
    ],
)
def test_a_broken_book_says_so_and_starts_over(
    parser: BinanceParser, sink: KeepingSink, diff: Callable[[], bytes], code: str
) -> None:
    parser.parse(T0 * NS, depth(10, 10, [], []), sink)
    parser.snapshot("BTC-USDT", snapshot(10), T0 * NS, sink)
    parser.parse(T0 * NS, diff(), sink)
    assert sink.codes() == {code: 1}
    assert not sink.of(BookUpdated)[-1].in_sequence
    parser.parse(T0 * NS, depth(15, 16, [], []), sink)
    assert parser.wanted_snapshots() == ["BTC-USDT"]
    assert parser.snapshot("BTC-USDT", snapshot(15), T0 * NS + 1, sink)
    assert sink.of(BookUpdated)[-1].in_sequence


def test_quotes_conflate_to_the_newest(parser: BinanceParser, sink: KeepingSink) -> None:
    for i in range(100):
        raw = combined("btcusdt@bookTicker", {"u": i, "s": "BTCUSDT", "b": f"{i}.00", "B": "1", "a": "200", "A": "1"})
        parser.parse((T0 + 10 * i) * NS, raw.replace(b'"0.00"', b'"0.01"'), sink)
    parser.flush((T0 + 2000) * NS, sink)
    quotes = sink.of(QuoteUpdated)
    assert len(quotes) == 11
    assert quotes[-1].bid == 9900


def test_checkpoint_goes_on_as_if_nothing_had_happened() -> None:
    frames = [((T0 + 100 * i) * NS, trade(i + (i > 70), T0 + 100 * i)) for i in range(1, 100)]
    whole, parts = KeepingSink(), KeepingSink()
    one = BinanceParser([BTC])
    for ts_recv, raw in frames:
        one.parse(ts_recv, raw, whole)
    one.finish(frames[-1][0], whole)
    two = BinanceParser([])
    two.add(BTC)
    for i, (ts_recv, raw) in enumerate(frames):
        if i % 17 == 5:
            two.flush(frames[i - 1][0], parts)
            saved = two.checkpoint()
            two = BinanceParser([])
            two.restore(saved)
        two.parse(ts_recv, raw, parts)
    two.finish(frames[-1][0], parts)
    assert parts.trades() == whole.trades()
    assert parts.of(GapSuspected) == whole.of(GapSuspected)
    assert parts.of(Progress) == whole.of(Progress)
    with pytest.raises(Corrupt):
        BinanceParser([]).restore(b"\x00")


def test_names_are_split_where_no_list_tells() -> None:
    pairs = {n: guessed_instrument(n).symbol for n in ("BTCUSDT", "ethbtc", "BTCFDUSD", "RUNEEUR", "1INCHUSDC")}
    assert list(pairs.values()) == ["BTC-USDT", "ETH-BTC", "BTC-FDUSD", "RUNE-EUR", "1INCH-USDC"]
