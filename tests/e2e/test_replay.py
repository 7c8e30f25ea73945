"""Recordings through adapter, log, stream and store give the official candles; stopped or killed, they go on."""

import csv
import json
import os
import subprocess
import sys
from datetime import datetime

import pytest

from candlewick.testing.shared_data import REASON, shared_data

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
DAYS = ("20240808", "20240809")
FEED = "A_raw_feeds/binance_raw_hft/spot_btcusdt_"


@pytest.fixture(scope="module")
def recordings():
    found = [shared_data(f"{FEED}{day}.gz") for day in DAYS]
    if None in found:
        pytest.skip(REASON)
    return found


def official():
    """Open time in ms to the official strings, over both files; the minute cut at midnight counts once."""
    rows = {}
    for day in DAYS:
        with shared_data(f"{FEED}{day}.official_1m.csv").open() as file:
            rows |= {int(row["open_time_ms"]): row for row in csv.DictReader(file)}
    return rows


def candlewick(*arguments):
    command = [sys.executable, "-m", "candlewick.app.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, env={**os.environ})


def _ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def exported(data, folder, timeframe="1m"):
    out = folder / f"{timeframe}.csv"
    done = candlewick("export", "binance", "BTC-USDT", timeframe, "--out", out, "--data-dir", data)
    assert done.returncode == 0, done.stderr
    with out.open() as file:
        return {_ms(row["open_time"]): row for row in csv.DictReader(file)}


def assert_official(rows):
    """Every fully covered minute is the venue's own, to the last digit."""
    expected = official()
    covered = sorted(expected)[1:-1]
    assert len(covered) == 10
    for time in covered:
        row, wanted = rows[time], expected[time]
        for name in ("open", "high", "low", "close", "volume"):
            assert float(row[name]) == float(wanted[name]), (time, name)
        assert row["quality"] == "ok"


def test_replayed_candles_equal_the_official_ones(recordings, tmp_path):
    done = candlewick("replay", *recordings, "--data-dir", tmp_path / "data", "--speed", "max", "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["frames"] > 90_000
    assert counts["trades"] == 9757 + 10147
    assert counts["late"] == 0
    rows = exported(tmp_path / "data", tmp_path)
    assert_official(rows)
    again = candlewick("replay", *recordings, "--data-dir", tmp_path / "data", "--speed", "max", "--json")
    assert json.loads(again.stdout)["trades"] == 0, "a recording played to its end is not played again"
    assert exported(tmp_path / "data", tmp_path) == rows
