"""Files as they are found: what is recognised, what is refused, and that nothing is changed."""

import gzip
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, parquet

from candlewick.adapters.files.tables import names, numbers
from candlewick.adapters.files.tables.candles import Reading, to_candles
from candlewick.adapters.files.tables.columns import recognise
from candlewick.adapters.files.tables.errors import (
    FileDamaged,
    FileNotThere,
    Problems,
    TimeframeNotClear,
    UnknownColumns,
    UnknownFileFormat,
)
from candlewick.adapters.files.tables.reading import tables
from candlewick.adapters.files.tables.table import Column, joined
from candlewick.adapters.files.tables.trades import TradeReader
from candlewick.contracts.collector import Side, TradeIds
from candlewick.contracts.stream import EMPTY, FINAL, GAPPED

NOW = 1_800_000_000 * 10**9
T0_S = 1_617_321_600  # 2021-04-02 00:00 UTC
T0 = T0_S * 10**9
MINUTE = 60 * 10**9


def read(path, *, columns=None, symbol="BTC-USDT", timeframe_s=None, round_to=None, now=NOW):
    """Candles and problems of a file."""
    problems = Problems()
    table = joined(list(tables(path)))
    meaning = recognise(table, names=columns)
    assert meaning.content == "candles"
    reading = Reading(path, symbol, now, timeframe_s, round_to)
    return to_candles(table, meaning, reading, problems), problems


def read_trades(path, *, piece=200_000):
    problems = Problems()
    pieces = list(tables(path, piece=piece))
    reader = TradeReader(Reading(path, "BTC-USDT", NOW), recognise(pieces[0]), problems)
    return [reader.read(each) for each in pieces], reader, problems


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


def csv_of(times, header="time,open,high,low,close,volume"):
    return "\n".join([header, *(f"{t},1.10,1.30,1.00,1.20,7.5" for t in times)])


@pytest.mark.parametrize(
    "times",
    [
        [T0_S, T0_S + 60],
        [T0_S * 1000, (T0_S + 60) * 1000],
        [T0_S * 10**6, (T0_S + 60) * 10**6],
        [T0, T0 + MINUTE],
        ["2021-04-02T00:00:00Z", "2021-04-02T00:01:00Z"],
        ["2021-04-02 00:00:00", "2021-04-02 00:01:00"],
        ["2021-04-02T02:00:00+02:00", "2021-04-02T02:01:00+02:00"],
        ["20210402 00:00", "20210402 00:01"],
        [f"{T0_S}.0", f"{T0_S + 60}.0"],
    ],
)
def test_times_of_every_unit(tmp_path, times):
    columns, problems = read(written(tmp_path, "a.csv", csv_of(times)))
    assert columns.open_time.tolist() == [T0, T0 + MINUTE]
    assert problems.total == 0


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,open,high,low,close,volume",
        "Date,Open,High,Low,Close,Volume",
        "Open time,Open,High,Low,Close,Volume",
        ",Open,High,Low,Close,Volume",
        "unix,open,high,low,close,Volume BTC",
        "t,o,h,l,c,v",
    ],
)
def test_names_of_columns(tmp_path, header):
    columns, _ = read(written(tmp_path, "a.csv", csv_of([T0_S, T0_S + 60], header)))
    assert (columns.open[0], columns.high[0], columns.low[0], columns.close[0]) == (11, 13, 10, 12)
    assert (columns.price_scale, columns.volume_lo[0], columns.size_scale) == (1, 75, 1)


def test_klines_without_a_header_in_a_zip(tmp_path):
    row = "{},28923.63000000,28961.66000000,28913.12000000,28961.66000000,27.45703200,{},794382.04463432,1292,"
    row += "16.77719500,485390.82682500,0"
    text = "\n".join(row.format((T0_S + n * 60) * 1000, (T0_S + n * 60) * 1000 + 59_999) for n in range(3))
    path = tmp_path / "BTCUSDT-1m-2021-04.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("BTCUSDT-1m-2021-04.csv", text)
    columns, problems = read(path)
    assert problems.total == 0
    assert columns.trades.tolist() == [1292] * 3
    assert Decimal(int(columns.volume_lo[0])).scaleb(-columns.size_scale) == Decimal("27.45703200")
    assert Decimal(int(columns.taker_lo[0])).scaleb(-columns.size_scale) == Decimal("16.777195")
    quote = (int(columns.quote_hi[0]) << 64) | int(columns.quote_lo[0])
    assert Decimal(quote).scaleb(-columns.size_scale - columns.price_scale) == Decimal("794382.04463432")
    assert columns.flags.tolist() == [FINAL] * 3


def test_json_forms(tmp_path):
    rows = [[(T0_S + n * 60) * 1000, 1.5, 2.5, 1.25, 2.0, 3.0] for n in range(3)]
    names_ = ["timestamp", "open", "high", "low", "close", "volume"]
    forms = {
        "rows.json": rows,
        "objects.json": [dict(zip(names_, row, strict=True)) for row in rows],
        "inside.json": {"candles": [dict(zip(names_, row, strict=True)) for row in rows]},
        "columns.json": {name: [row[at] for row in rows] for at, name in enumerate(names_)},
    }
    found = []
    for name, form in forms.items():
        path = tmp_path / f"{name}.gz"
        path.write_bytes(gzip.compress(json.dumps(form).encode()))
        found.append(read(path)[0])
    lines = written(tmp_path, "lines.jsonl", "\n".join(json.dumps(row) for row in rows))
    found.append(read(lines)[0])
    for columns in found:
        assert columns.open_time.tolist() == [T0 + n * MINUTE for n in range(3)]
        assert columns.close.tolist() == [200] * 3


def test_parquet_and_feather(tmp_path):
    table = pa.table(
        {
            "date": pa.array([T0, T0 + MINUTE], pa.timestamp("ns", "UTC")),
            "open": [0.1 + 0.2, 1.0], "high": [2.0, 2.0], "low": [0.25, 0.5], "close": [1.5, 1.0], "volume": [3.0, 0.0],
        }
    )  # fmt: skip
    parquet.write_table(table, tmp_path / "a.parquet")
    feather.write_feather(table, tmp_path / "a.feather")
    for name in ("a.parquet", "a.feather"):
        columns, problems = read(tmp_path / name)
        assert columns.open.tolist() == [30, 100]  # 0.30000000000000004 is 0.3 with noise on it
        assert list(problems.notes.values()) == [1]
        assert columns.flags.tolist() == [FINAL, FINAL | EMPTY]


def test_newest_first_is_read_in_reverse_and_keyed_by_end(tmp_path):
    text = csv_of([T0_S + 120, T0_S + 60, T0_S])
    columns, problems = read(written(tmp_path, "a.csv", text))
    assert columns.open_time.tolist() == [T0, T0 + MINUTE, T0 + 2 * MINUTE]
    assert len(problems.notes) == 1
    ends = [(T0_S + 60 * n) * 1000 - 1 for n in (1, 2, 3)]
    columns, _ = read(written(tmp_path, "b.csv", csv_of(ends, "endTime,open,high,low,close,volume")))
    assert columns.open_time.tolist() == [T0, T0 + MINUTE, T0 + 2 * MINUTE]


BAD = {
    "x,1,2,1,1,1": "BAD_TIME",
    "{t},1,nan,1,1,1": "BAD_NUMBER",
    "{t},1,inf,1,1,1": "BAD_NUMBER",
    "{t},1,,1,1,1": "BAD_NUMBER",
    "{t},1,abc,1,1,1": "BAD_NUMBER",
    "{t},0,2,0,1,1": "NOT_POSITIVE",
    "{t},-1,2,-1,1,1": "NOT_POSITIVE",
    "{t},1,1,2,1,1": "HIGH_BELOW_LOW",
    "{t},3,2,1,1,1": "OUTSIDE_RANGE",
    "{t},1,2,1,1,-1": "NEGATIVE_VOLUME",
    "{t},1,2.0000000000001,1,1,1": "TOO_PRECISE",
    "{t},1,99999999999999999999,1,1,1": "TOO_LARGE",
    "{odd},1,2,1,1,1": "MISALIGNED",
    "{before},1,2,1,1,1": "DUPLICATE_TIME",
    "{early},1,2,1,1,1": "OUT_OF_ORDER",
    "{future},1,2,1,1,1": "NOT_CLOSED",
    "{far},1,2,1,1,1": "OUT_OF_ORDER",
    "{t},1,2,1,1": "WRONG_WIDTH",
}


@pytest.mark.parametrize(("bad", "code"), BAD.items())
def test_a_bad_row_is_refused_with_its_number_and_the_others_stay(tmp_path, bad, code):
    good = "{},1,2,1,1,1"
    times = [T0_S + n * 60 for n in range(6)]
    lines = [good.format(t) for t in times]
    lines[3] = bad.format(
        t=times[3], odd=times[3] + 1, before=times[2], early=times[0] - 60, future=NOW // 10**9 + 3600 // 60 * 60,
        far=times[3] + 864_000,
    )  # fmt: skip
    columns, problems = read(written(tmp_path, "a.csv", "\n".join(["time,open,high,low,close,volume", *lines])))
    assert problems.counts == {code: 1}
    assert problems.first[0][:2] == (5, code)
    assert columns.open_time.tolist() == [t * 10**9 for t in times if t != times[3]]


def test_only_the_first_problems_are_listed_and_all_are_counted(tmp_path):
    lines = ["time,open,high,low,close,volume", *(f"{T0_S + n * 60},1,nan,1,1,1" for n in range(50))]
    columns, problems = read(written(tmp_path, "a.csv", "\n".join(lines)))
    assert (problems.counts["BAD_NUMBER"], len(problems.first), len(columns.open_time)) == (50, 20, 0)


def test_rounding_only_when_permitted(tmp_path):
    path = written(tmp_path, "a.csv", csv_of([T0_S, T0_S + 60]).replace("1.20", "1.2000000000000123"))
    assert read(path)[1].counts == {"TOO_PRECISE": 2}
    columns, problems = read(path, round_to=4)
    assert columns.close.tolist() == [12, 12]
    assert list(problems.notes.values()) == [2]


def test_other_symbols_are_refused(tmp_path):
    lines = ["time,open,high,low,close,volume,symbol"]
    lines += [f"{T0_S + n * 60},1,2,1,1,1,{'BTC/USDT' if n % 2 else 'ETHUSDT'}" for n in range(4)]
    columns, problems = read(written(tmp_path, "a.csv", "\n".join(lines)))
    assert (len(columns.open_time), problems.counts) == (2, {"OTHER_SYMBOL": 2})


def test_what_an_export_wrote_is_read_back(tmp_path):
    from candlewick.adapters.files.tables.writing import writing

    columns, _ = read(written(tmp_path, "a.csv", csv_of([T0_S + n * 60 for n in range(5)])))
    flags = columns.flags.copy()
    flags[2] |= GAPPED
    import msgspec

    columns = msgspec.structs.replace(columns, flags=flags)
    for name in ("o.csv", "o.parquet", "o.feather"):
        with writing(tmp_path / name, lambda: {"symbol": "BTC-USDT"}) as write:
            write(columns)
        found, problems = read(tmp_path / name)
        assert problems.total == 0
        for field in ("open_time", "open", "high", "low", "close", "volume_lo", "flags", "trades"):
            assert getattr(found, field).tolist() == getattr(columns, field).tolist(), (name, field)
    assert parquet.ParquetFile(tmp_path / "o.parquet").metadata.metadata[b"symbol"] == b"BTC-USDT"


def test_an_export_that_fails_leaves_what_was_there(tmp_path):
    from candlewick.adapters.files.tables.writing import writing

    path = written(tmp_path, "o.csv", "before")
    with pytest.raises(RuntimeError), writing(path, dict) as _:
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


# -- damage --------------------------------------------------------------------------------------------------------


def test_a_truncated_file_gives_its_good_rows_and_says_so(tmp_path):
    text = csv_of([T0_S + n * 60 for n in range(20_000)])
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(text.encode())[:-2000])
    pieces = tables(path, piece=1000)
    found = [len(next(pieces)) for _ in range(5)]
    assert found == [1000] * 5
    with pytest.raises(FileDamaged):
        list(pieces)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.parquet", b"not parquet", FileDamaged),
        ("a.feather", b"not feather", FileDamaged),
        ("a.json", b"{", FileDamaged),
        ("a.json", b"3", FileDamaged),
        ("a.csv.gz", b"not gzip", FileDamaged),
        ("a.zip", b"not a zip", FileDamaged),
        ("a.xlsx", b"", UnknownFileFormat),
    ],
)
def test_what_is_no_such_file_is_told(tmp_path, name, content, error):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error):
        list(tables(tmp_path / name))
    with pytest.raises(FileNotThere):
        list(tables(tmp_path / "none.csv"))


def test_columns_and_timeframes_that_nobody_can_guess(tmp_path):
    path = written(tmp_path, "a.csv", "a,b,c\n1,2,3")
    with pytest.raises(UnknownColumns):
        recognise(joined(list(tables(path))))
    path = written(tmp_path, "b.csv", csv_of(["2012-01-31", "2012-02-29", "2012-03-31"]))
    with pytest.raises(TimeframeNotClear):
        read(path)
    odd = written(tmp_path, "c.csv", f"{T0_S},1,3,2,2,9\n{T0_S + 60},1,3,2,2,9")
    columns, _ = read(odd, columns=("time", "low", "high", "open", "close", "volume"))
    assert (columns.low[0], columns.high[0], columns.open[0]) == (1, 3, 2)


# -- trades --------------------------------------------------------------------------------------------------------


def test_trades_of_a_dump_and_of_a_library(tmp_path):
    dump = "\n".join(f"{n},100.5,0.25,25.1,{(T0_S + n) * 1000},{'True' if n % 2 else 'False'},True" for n in range(6))
    (columns,), reader, problems = read_trades(written(tmp_path, "BTCUSDT-trades.csv", dump))
    assert reader.ids is TradeIds.MONOTONIC
    assert columns.side.tolist() == [Side.BUY, Side.SELL] * 3
    assert (columns.price[0], columns.price_scale, columns.size[0], columns.size_scale) == (1005, 1, 25, 2)
    rows = [[(T0_S + n) * 1000, str(n), None, "sell", 100.5, 0.25, 25.1] for n in range(6)]
    path = written(tmp_path, "trades.json", json.dumps(rows))
    (columns,), _, more = read_trades(path)
    assert columns.trade_id.tolist() == list(range(6))
    assert columns.side.tolist() == [Side.SELL] * 6
    assert problems.total == more.total == 0


def test_bad_trades_are_refused(tmp_path):
    lines = ["timestamp,id,side,price,amount"]
    good = [f"{(T0_S + n) * 1000},{n},buy,1.5,2" for n in range(10)]
    good[2] = f"{(T0_S + 2) * 1000},1,buy,1.5,2"
    good[3] = f"{(T0_S + 3) * 1000},3,buy,nan,2"
    good[4] = f"{(T0_S + 4) * 1000},4,buy,1.5,0"
    good[5] = f"{(T0_S - 60) * 1000},5,buy,1.5,2"
    good[6] = f"{(T0_S + 6) * 1000},6,up,1.5,2"
    (columns,), _, problems = read_trades(written(tmp_path, "a.csv", "\n".join(lines + good)))
    assert problems.counts == {
        "DUPLICATE_ID": 1, "BAD_NUMBER": 1, "NOT_POSITIVE": 1, "OUT_OF_ORDER": 1, "BAD_SIDE": 1,
    }  # fmt: skip
    assert columns.trade_id.tolist() == [0, 1, 7, 8, 9]


def test_trades_without_ids_get_the_same_ones_again_however_the_file_is_cut(tmp_path):
    lines = ["time,price,qty", *(f"{(T0_S + n // 4) * 1000},1.5,{1 + n % 2}" for n in range(40))]
    path = written(tmp_path, "a.csv", "\n".join(lines))
    whole, reader, _ = read_trades(path)
    cut, _, _ = read_trades(path, piece=7)
    assert reader.ids is TradeIds.OPAQUE
    ids = np.concatenate([columns.trade_id for columns in whole])
    assert len(set(ids.tolist())) == 40
    assert np.concatenate([columns.trade_id for columns in cut]).tolist() == ids.tolist()


# -- numbers and names ---------------------------------------------------------------------------------------------


@given(st.lists(st.decimals(0, 10**9, places=8), min_size=1, max_size=20))
def test_decimals_are_kept_exactly_as_text_and_as_floats(values):
    texts = np.empty(len(values), object)
    texts[:] = [str(value) for value in values]
    for column in (Column("text", texts), Column("float", np.array([float(v) for v in values]))):
        (found,) = numbers.integers([column])
        exact = [Decimal(int(m)).scaleb(-found.scale) for m in found.mantissas]
        if column.kind == "text":
            assert exact == values
        else:
            assert [float(e) for e in exact] == [float(v) for v in values]


def test_a_column_s_larger_scale_shows_no_float_s_error():
    (found,) = numbers.integers([Column("float", np.array([8999.12, 8999.13, 0.000000000001]))])
    assert (found.scale, found.mantissas.tolist()) == (12, [8999120000000000, 8999130000000000, 1])


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTCUSDT", "BTC-USDT"), ("BTC/USDT", "BTC-USDT"), ("btc_usdt", "BTC-USDT"), ("BTC-USDT", "BTC-USDT"),
        ("BTC/USDT:USDT", "BTC-USDT"), ("1000SHIBUSDC", "1000SHIB-USDC"), ("WHAT", None),
    ],
)  # fmt: skip
def test_symbols(text, symbol):
    assert names.symbol_of(text) == symbol


@pytest.mark.parametrize(
    ("name", "symbol", "seconds"),
    [
        ("BTCUSDT-1m-2021-04.zip", "BTC-USDT", 60),
        ("XRP_ETH-trades.json.gz", "XRP-ETH", None),
        ("Coinbase-BTC-USD-PT4H-20160518_20251028.json.gz", "BTC-USD", 14_400),
        ("hour/btcusdt_trade.zip", "BTC-USDT", 3600),
        ("data.csv", None, None),
    ],
)
def test_names_of_files(name, symbol, seconds):
    assert names.symbol_in_name(Path("/d") / name) == symbol
    assert names.timeframe_in_name(Path("/d") / name) == seconds
