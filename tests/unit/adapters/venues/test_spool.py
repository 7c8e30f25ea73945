"""The spool: order, limits, restarts, damage."""

from pathlib import Path

import numpy as np

from candlewick.adapters.venues._connection.spool import Spool, SpoolingSink
from candlewick.contracts.base import Message, Origin, frozen
from candlewick.contracts.collector import GapSuspected, Progress, QuoteUpdated, TradeBatch, TradeColumns, TradeIds
from candlewick.testing.binance.sink import KeepingSink


def batch(first: int, count: int = 5) -> TradeBatch:
    column = frozen(np.arange(first, first + count, dtype=np.int64))
    columns = TradeColumns(column, column, column, column, column, frozen(np.zeros(count, np.uint8)), 2, 5)
    return TradeBatch("binance", "BTC-USDT", TradeIds.DENSE, False, Origin.BUILT, False, columns)


def progress(through: int) -> Progress:
    return Progress("binance", "BTC-USDT", through, through, True)


def taken(spool: Spool) -> list[tuple[str, int]]:
    out = []
    while (record := spool.take()) is not None:
        message: Message = record[0]
        if isinstance(message, TradeBatch):
            out.append(("trades", int(message.columns_v1.trade_id[0])))
        elif isinstance(message, Progress):
            out.append(("progress", message.complete_through))
    return out


def test_records_come_back_in_order_over_many_segments(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=1000)
    want = []
    for i in range(60):
        assert spool.put(batch(i), i)
        assert spool.put(progress(i), i)
        want += [("trades", i), ("progress", i)]
    assert len(list(tmp_path.iterdir())) > 5
    assert taken(spool) == want
    assert spool.is_empty()
    assert spool.bytes == 0
    assert not list(tmp_path.iterdir())


def test_reading_and_writing_take_turns(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=500)
    got: list[tuple[str, int]] = []
    for i in range(50):
        spool.put(batch(i), i)
        if i % 3 == 2:
            record = spool.take()
            assert record is not None
            assert isinstance(record[0], TradeBatch)
            got.append(("trades", int(record[0].columns_v1.trade_id[0])))
    assert got + taken(spool) == [("trades", i) for i in range(50)]


def test_what_is_left_is_there_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for i in range(10):
        spool.put(batch(i), i)
    spool.take()
    # No close: a killed process.
    again = Spool(tmp_path)
    assert not again.is_empty()
    again.put(batch(99), 99)
    got = taken(again)
    assert got[-11:] == [*(("trades", i) for i in range(10)), ("trades", 99)]


def test_the_limit_holds(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=2000)
    count = 0
    while spool.put(batch(count), count):
        count += 1
    assert 3 < count < 20
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) <= 2000
    assert len(taken(spool)) == count
    assert spool.put(batch(0), 0)


def test_damage_costs_no_more_than_its_segment(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=800)
    for i in range(30):
        spool.put(batch(i), i)
    spool.close()
    second = sorted(tmp_path.iterdir())[1]
    data = bytearray(second.read_bytes())
    data[40] ^= 0xFF
    second.write_bytes(bytes(data))
    sink = KeepingSink()
    SpoolingSink(sink, Spool(tmp_path)).drain()
    ids = [row[0] for row in sink.trades()[::5]]
    assert sink.codes() == {"SPOOL_CORRUPT": 1}
    assert ids == sorted(ids)
    assert ids[0] == 0
    assert ids[-1] == 29
    assert len(ids) > 20


def test_a_truncated_last_record_is_skipped(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for i in range(3):
        spool.put(batch(i), i)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-7])
    assert taken(Spool(tmp_path)) == [("trades", 0), ("trades", 1)]


def test_nothing_overtakes_what_waits(tmp_path: Path) -> None:
    inner = KeepingSink()
    sink = SpoolingSink(inner, Spool(tmp_path))
    inner.congested = True
    sink.message(batch(1), 1)
    quote = QuoteUpdated("binance", "BTC-USDT", 2, 5, 1, 1, 2, 1, Origin.BUILT)
    for _ in range(5):
        sink.message(quote, 1)
    gap = GapSuspected("binance", "BTC-USDT", 1, 2, "missing_ids", 1, 1, "")
    sink.message(gap, 1)
    assert [m for m, _ in inner.messages] == [gap]
    inner.congested = False
    sink.message(progress(2), 2)
    sink.message(batch(6), 2)
    assert [m for m, _ in inner.messages] == [gap]
    sink.drain()
    kinds = [type(m).__name__ for m, _ in inner.messages]
    assert kinds == ["GapSuspected", "QuoteUpdated", "TradeBatch", "Progress", "TradeBatch"]
    sink.message(progress(3), 3)
    assert isinstance(inner.messages[-1][0], Progress)
    assert sink.conflated == 4
