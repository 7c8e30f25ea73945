"""Files in and out through the command line, on a data dir as a user has it."""

import asyncio
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.contracts.base import Origin
from candlewick.contracts.stream import EMPTY, GAPPED
from candlewick.testing.shared_data import REASON, shared_data

CLI = [sys.executable, "-m", "candlewick.app.cli.main"]
MINUTE = 60 * 10**9


def run(*arguments, data_dir, code=0):
    """A command's JSON."""
    done = subprocess.run(
        [*CLI, *map(str, arguments), "--data-dir", str(data_dir)],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout + done.stderr


def stored(data_dir, symbol, seconds, exchange="binance"):
    """Everything stored of a series."""

    async def read():
        store = SqliteCandleStore(data_dir / "history" / "candles.db")
        await store.open()
        try:
            return await store.range(exchange, symbol, seconds, 0, 1 << 62)
        finally:
            await store.close()

    return asyncio.run(read())


def recorded(path):
    found = shared_data(path)
    if found is None:
        pytest.skip(REASON)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["XRP_ETH-trades.json.gz", "XRP_ETH-trades.feather"])
def test_complete_trades_give_exactly_the_official_minutes_and_empty_ones(tmp_path, name):
    trades = recorded(f"C_market/freqtrade/{name}")
    official = feather.read_table(recorded("C_market/freqtrade/XRP_ETH-1m.feather"))
    found = run("import", trades, "--complete", "--json", data_dir=tmp_path)
    assert (found["rows"], found["accepted"], found["refused"]) == (12_477, 12_477, 0)
    minutes = stored(tmp_path, "XRP-ETH", 60)
    assert (np.diff(minutes.open_time) == MINUTE).all()
    assert not (minutes.flags & GAPPED).any()
    empty = (minutes.flags & EMPTY) != 0
    times = official["date"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
    assert len(times) == 2469
    assert minutes.open_time[~empty].tolist() == times.tolist()
    for field in ("open", "high", "low", "close"):
        values = getattr(minutes, field)[~empty] / 10**minutes.price_scale
        assert values.tolist() == official[field].to_pylist(), field
    volumes = minutes.volume_lo[~empty] / 10**minutes.size_scale
    assert volumes.tolist() == official["volume"].to_pylist()
    assert set(minutes.origin.tolist()) == {Origin.BUILT}
    again = run("import", trades, "--complete", "--json", data_dir=tmp_path)
    assert again["files"][0]["stored"] == len(minutes.open_time)
    assert stored(tmp_path, "XRP-ETH", 60).revision.max() == 0


@pytest.mark.slow
def test_longer_candles_made_of_imported_minutes_equal_the_exchange_s(tmp_path):
    run("import", recorded("C_market/binance_1m/BTCUSDT-1m-2018-12.parquet"), "--json", data_dir=tmp_path)
    for folder, seconds in (("1h", 3600), ("4h", 14_400), ("1d", 86_400)):
        theirs = parquet.read_table(recorded(f"C_market/binance_{folder}/BTCUSDT-{folder}.parquet"))
        ours = stored(tmp_path, "BTC-USDT", seconds)
        at = {t * 10**6: place for place, t in enumerate(theirs["ts"].to_pylist())}
        places = [at[t] for t in ours.open_time.tolist()]
        assert len(places) == 31 * 86_400 // seconds
        for field in ("open", "high", "low", "close"):
            mine = (getattr(ours, field) / 10**ours.price_scale).tolist()
            assert mine == [theirs[field][place].as_py() for place in places], (folder, field)


def test_export_gives_back_what_was_imported(tmp_path):
    source = tmp_path / "BTCUSDT-1m.csv"
    rows = [f"{1_617_321_600 + n * 60},1.1{n % 10},1.3,1.0,1.2,{n}.125" for n in range(300)]
    source.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    found = run("import", source, "--json", data_dir=tmp_path / "data")
    assert found["files"][0]["stored"] == found["accepted"] == 300
    assert found["files"][0]["derived"] == 100 + 60 + 20 + 10 + 5 + 1
    out = tmp_path / "out.csv"
    run("export", "binance", "BTC-USDT", "1m", "--out", out, data_dir=tmp_path / "data")
    lines = out.read_text().splitlines()
    assert lines[1].startswith("2021-04-02T00:00:00Z,1.10,1.30,1.00,1.20,0.125,")
    assert len(lines) == 301
    some = run(
        "export", "binance", "BTC-USDT", "5m", "--from", "2021-04-02T01:00:00Z", "--to", "2021-04-02T02:00:00Z",
        "--out", tmp_path / "out.parquet", "--json", data_dir=tmp_path / "data",
    )  # fmt: skip
    assert some["rows"] == 12
    metadata = parquet.ParquetFile(tmp_path / "out.parquet").metadata.metadata
    assert json.loads(metadata[b"origins"]) == {"fetched": 12}
    assert (metadata[b"exchange"], metadata[b"timeframe"]) == (b"binance", b"5m")
    told = run("export", "binance", "ETH-USDT", "1m", "--out", out, data_dir=tmp_path / "data", code=1)
    assert "NOTHING_TO_EXPORT" in told
    assert len(out.read_text().splitlines()) == 301


def test_bad_rows_are_listed_and_the_rest_is_imported(tmp_path):
    source = tmp_path / "BTCUSDT-1m.csv"
    rows = [f"{1_617_321_600 + n * 60},1.1,1.3,1.0,1.2,5" for n in range(20)]
    rows[7] = rows[7].replace("1.3", "nan")
    source.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    told = run("import", source, data_dir=tmp_path / "data")
    assert "19 of 20 1m candles accepted" in told
    assert "row 9: BAD_NUMBER" in told
    missing = run("import", tmp_path / "none.csv", "--symbol", "BTC-USDT", data_dir=tmp_path / "data", code=1)
    assert "FILE_NOT_FOUND" in missing


def test_backup_and_restore(tmp_path):
    source = tmp_path / "BTCUSDT-1m.csv"
    rows = [f"{1_617_321_600 + n * 60},1.1,1.3,1.0,1.2,5" for n in range(100)]
    source.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    run("import", source, data_dir=tmp_path / "data")
    made = run("backup", "history", "--out", tmp_path / "copy", "--json", data_dir=tmp_path / "data")["backups"][0]
    back = run("restore", tmp_path / "copy", "--json", data_dir=tmp_path / "fresh")["restored"][0]
    assert back["candles"] == made["candles"] > 100
    assert back["checksums"] == made["checksums"]
    assert "gaps" in back["checksums"]
    assert "NOT_EMPTY" in run("restore", tmp_path / "copy", data_dir=tmp_path / "fresh", code=1)
    ours, theirs = stored(tmp_path / "fresh", "BTC-USDT", 60), stored(tmp_path / "data", "BTC-USDT", 60)
    assert ours.open_time.tolist() == theirs.open_time.tolist()
    victim = next((tmp_path / "copy").rglob("*1m*/*.parquet*"))
    victim.write_bytes(victim.read_bytes()[:-10] + b"0123456789")
    told = run("restore", tmp_path / "copy", data_dir=tmp_path / "other", code=1)
    assert "BACKUP_DAMAGED" in told


@pytest.mark.kill
def test_an_import_that_was_stopped_goes_on(tmp_path):
    source = tmp_path / "BTCUSDT-1m.csv"
    count = 60_000
    rows = [f"{1_600_000_020 + n * 60},1.1,1.3,1.0,1.2,5" for n in range(count)]
    source.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    data = tmp_path / "data"
    command = [*CLI, "import", str(source), "--no-derive", "--data-dir", str(data)]
    for number in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            if (data / "history" / "candles.db").exists():
                break
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(number)
        process.communicate(timeout=60)
    found = run("import", source, "--no-derive", "--json", data_dir=data)
    assert found["files"][0]["stored"] == count
    assert len(stored(data, "BTC-USDT", 60).open_time) == count
