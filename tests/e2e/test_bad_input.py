"""Bad input and bad machines, end to end: each fault is named with a stable code, and what was accepted stays."""

import csv
import gzip
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.recordings import NS_PER_MS, T0_MS, steady, trade, write
from tests.e2e.server import Product, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
PRICES = ("open", "high", "low", "close", "volume")


def candlewick(*arguments, env=None, cwd=None):
    command = [sys.executable, "-m", "candlewick.app.cli.main", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=cwd, env={**os.environ, **(env or {})}
    )


def exported(data, symbol="BTC-USDT", timeframe="1s"):
    """The stored candles as {open time as written: row of text}."""
    out = Path(f"{data}-{symbol}-{timeframe}.csv")
    done = candlewick("export", "binance", symbol, timeframe, "--out", out, "--data-dir", data)
    assert done.returncode == 0, done.stderr
    with out.open() as file:
        return {row["open_time"]: row for row in csv.DictReader(file)}


def replayed(data, *paths):
    done = candlewick("replay", *paths, "--data-dir", data, "--json")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout), done.stderr


# -- recordings ------------------------------------------------------------------------------------------------------

MIDDLE_MS = T0_MS + 200 * 10
NONSENSE = {
    "BAD_FRAME": [b"{", b"\xff\xfe", trade(9, MIDDLE_MS)[:-9], b'{"stream":"btcusdt@trade","data":{"p":NaN}}'],
    "BAD_TYPE": [b"[1,2]", trade(9, MIDDLE_MS, t="x"), trade(9, MIDDLE_MS, T=None), trade(9, MIDDLE_MS, t=-1)],
    "BAD_DECIMAL": [trade(9, MIDDLE_MS, "NaN"), trade(9, MIDDLE_MS, "99999999999999999999")],
    "BAD_PRICE": [trade(9, MIDDLE_MS, "-1.00"), trade(9, MIDDLE_MS, "0.00")],
    "BAD_SIZE": [trade(9, MIDDLE_MS, size="-0.50")],
    "CLOCK_JUMP": [trade(9, MIDDLE_MS + 86_400_000), trade(9, MIDDLE_MS - 86_400_000)],
    "SYMBOL_MISMATCH": [trade(9, MIDDLE_MS, s="ETHUSDT")],
    "UNKNOWN_STREAM": [trade(9, MIDDLE_MS).replace(b"@trade", b"@nothing")],
}


def test_nonsense_in_a_recording_is_counted_by_code_and_costs_no_good_trade(tmp_path):
    good = steady(400)
    bad = [(MIDDLE_MS, frame) for frames in NONSENSE.values() for frame in frames]
    mixed = write(tmp_path / "mixed.txt", [*good[:201], *bad, *good[201:]])
    mixed.write_bytes(mixed.read_bytes().replace(b"\n", b"\nno receive time here\n-5 {}\n", 1))
    counts, told = replayed(tmp_path / "mixed", mixed)
    expected = Counter({code: len(frames) for code, frames in NONSENSE.items()})
    expected["BAD_LINE"] = 2
    assert counts["refused"] == expected
    assert counts["trades"] == 400
    assert all(f"code={code} " in told for code in expected), "the first of each kind is told in the log"
    pure, _ = replayed(tmp_path / "pure", write(tmp_path / "pure.txt", good))
    assert pure["refused"] == {}
    assert exported(tmp_path / "mixed") == exported(tmp_path / "pure")


def test_a_truncated_recording_gives_everything_before_its_end(tmp_path):
    frames = steady(3000)
    members = [
        gzip.compress(b"".join(b"%d %s\n" % (ms * NS_PER_MS, f) for ms, f in frames[i : i + 500]))
        for i in range(0, 3000, 500)
    ]
    cut = tmp_path / "cut.gz"
    cut.write_bytes(b"".join(members[:-1]) + members[-1][:60])
    counts, _ = replayed(tmp_path / "data", cut)
    assert counts["refused"]["TRUNCATED_FILE"] == 1
    assert 2500 <= counts["trades"] < 2600
    rows = exported(tmp_path / "data")
    whole, _ = replayed(tmp_path / "whole", write(tmp_path / "whole.gz", frames[: counts["trades"]]))
    assert whole["refused"] == {}
    assert rows == exported(tmp_path / "whole")


def test_damage_in_a_gzip_member_is_named_too(tmp_path):
    """Members are whole by themselves: what stands before the damaged one is used, nothing of it and behind it."""
    frames = steady(3000)
    bodies = [b"".join(b"%d %s\n" % (ms * NS_PER_MS, f) for ms, f in frames[i : i + 500]) for i in range(0, 3000, 500)]
    members = [bytearray(gzip.compress(body)) for body in bodies]
    members[3][100:108] = b"\xff" * 8
    path = tmp_path / "noise.gz"
    path.write_bytes(b"".join(members))
    counts, told = replayed(tmp_path / "data", path)
    assert counts["refused"] == {"TRUNCATED_FILE": 1}
    assert "everything before is used" in told
    assert counts["trades"] == 1500


# -- a full disk -----------------------------------------------------------------------------------------------------

TRADES = 60_000


class Confined(Product):
    """The product with a quota on every file: the kernel refuses what goes beyond, as on a full disk."""

    def __init__(self, arguments, folder, limit_bytes, *, place=0):
        port = free_port()
        self.port = port + place
        self.base = f"http://127.0.0.1:{self.port}"
        self.output = folder / "confined.txt"
        command = [sys.executable, "-m", "candlewick.app.cli.main", *arguments, "--port", str(port)]
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY)),  # noqa: PLW1509
            )


def test_a_full_disk_is_told_and_after_it_everything_goes_on(tmp_path):
    recording = write(tmp_path / "day.gz", steady(TRADES, every_ms=2))
    data = tmp_path / "data"
    product = Confined(
        ["up", "--replay", str(recording), "--speed", "max", "--data-dir", str(data)], tmp_path, 900_000
    ).wait_ready()
    status = product.until(
        "/api/v1/status",
        lambda page: any(s["name"] == "collector" and "STORAGE_FULL" in (s["detail"] or "") for s in page["services"]),
        seconds=60,
    )
    collector = next(service for service in status["services"] if service["name"] == "collector")
    assert collector["state"] == "degraded"
    assert collector["detail"].startswith("STORAGE_FULL: ")
    accepted = product.json("/trades/binance/BTC-USDT?limit=1")["trades"][0]["id"]
    assert 0 < accepted < TRADES, "market serves what was accepted"
    product.stop(seconds=40)
    assert "Traceback" not in product.text()
    assert product.text().count("the log takes nothing") == 1, "told once, not at every try"
    counts, _ = replayed(data, recording)
    assert counts["trades"] >= TRADES - accepted, "all that had not been accepted; what is played again counts once"
    replayed(tmp_path / "pure", recording)
    assert exported(data) == exported(tmp_path / "pure")
    assert sum(int(row["trades"]) for row in exported(data).values()) > TRADES - 2000


def test_history_waits_for_room_and_then_goes_on_without_a_restart(tmp_path):
    recording = write(tmp_path / "day.gz", steady(12_000, every_ms=500))
    data, port = tmp_path / "data", free_port()
    common = ["--replay", str(recording), "--speed", "max", "--data-dir", str(data)]
    build = ["run", "stream", "collector", "--port", str(port), *common]
    building = Product(build, tmp_path, port=port + 17).wait_ready()
    building.until("/health/detailed", lambda health: health["facts"].get("played"))
    building.port, building.base = port + 18, f"http://127.0.0.1:{port + 18}"
    building.until("/health/detailed", lambda health: health["facts"]["messages"] > 0 and health["facts"]["lag"] == 0)
    assert building.stop() == 0, building.text()
    history = Confined(["run", "history", *common], tmp_path, 300_000, place=16).wait_ready()
    health = history.until("/health/detailed", lambda health: "STORAGE_FULL" in health["detail"])
    assert health["status"] == "degraded"
    assert history.json("/history/series") is not None, "what is stored is served"
    time.sleep(2)
    assert history.text().count("code=STORAGE_FULL") == 1, "told once, not at every try"
    resource.prlimit(history.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    history.until("/health/detailed", lambda health: "STORAGE_FULL" not in health["detail"])
    replayed(tmp_path / "pure", recording)
    history.until(
        "/history/series", lambda page: sum(s["rows"] for s in page["series"] if s["timeframe"] == "1s") > 5900
    )
    assert history.stop() == 0
    assert "Traceback" not in history.text()
    assert "service starts again" not in history.text()
    assert exported(data) == exported(tmp_path / "pure")


# -- damage on disk --------------------------------------------------------------------------------------------------


def test_a_damaged_place_in_the_log_is_told_and_the_rest_is_served(tmp_path):
    """The collector alone fills the log; a byte of one batch flips; the others then start on it."""
    recording, data = write(tmp_path / "day.gz", steady(20_000, every_ms=2)), tmp_path / "data"
    port = free_port()
    play = ["--set", f"collector.replay_paths={recording}", "--set", "collector.replay_speed=0"]
    arguments = ["run", "collector", "--exchange", "binance", "--port", str(port), "--data-dir", str(data), *play]
    collector = Product(arguments, tmp_path, port=port + 17)
    collector.wait_ready()
    collector.until("/health/detailed", lambda health: health["facts"].get("played"))
    assert collector.stop() == 0, collector.text()
    log = data / "log.db"
    content = bytearray(log.read_bytes())
    ids = (struct.pack("<3q", n, n + 1, n + 2) for n in range(10_000, 10_200))  # some stand across two pages
    content[next(at for at in map(content.find, ids) if at >= 0)] ^= 0x01
    log.write_bytes(content)
    port = free_port()
    product = Product(
        ["up", "--replay", str(recording), "--speed", "max", "--data-dir", str(data), "--port", str(port)],
        tmp_path,
        port=port,
    ).wait_ready()
    last_ms = T0_MS + 20_000 * 2 - 5000
    page = product.until(
        "/ohlcv/binance/BTC-USDT/1s?limit=1000",
        lambda page: any(candle["final"] and candle["open_time"] >= last_ms for candle in page["candles"]),
    )
    log = product.json("/health/dependencies")["dependencies"]["log"]
    assert not log["ok"]
    assert log["detail"].startswith("LOG_CORRUPT: ")
    assert product.get("/health")[0] == 200
    assert product.stop() == 0
    assert "Traceback" not in product.text()
    told = [line for line in product.text().splitlines() if "code=LOG_CORRUPT" in line and "unit=stream" in line]
    assert len(told) == 1, "the stream says once what it could not read"
    whole = {c["open_time"]: c for c in page["candles"] if c["final"]}
    damaged_ms = T0_MS + 10_000 * 2
    full = [c for c in whole.values() if c["trades"] == 500]
    assert len(full) >= 30, "only the candles of the damaged batch lack trades"
    near = [c for c in whole.values() if abs(c["open_time"] - damaged_ms) < 6000 and c["trades"] != 500]
    assert all(c["quality"] == "gapped" for c in near), "and those that do say so"
    assert near or damaged_ms // 1000 * 1000 not in whole


# -- configuration and the machine -----------------------------------------------------------------------------------


def config(tmp_path, text):
    file = tmp_path / "candlewick.toml"
    file.write_bytes(text)
    return ("--config", file)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (lambda tmp: ("--config", tmp / "nowhere.toml"), "CONFIG_NOT_FOUND", "nowhere.toml"),
        (lambda tmp: config(tmp, b"[app\nport = 1"), "BAD_CONFIG_FILE", "not valid TOML"),
        (lambda tmp: config(tmp, b"\xff\xfe\x00"), "BAD_CONFIG_FILE", "not valid TOML"),
        (lambda tmp: config(tmp, b"port = 8000"), "BAD_CONFIG_FILE", "sections"),
        (lambda tmp: config(tmp, b"[app]\nprot = 8000"), "BAD_SETTINGS", "'prot'"),
        (lambda tmp: config(tmp, b"[app]\nport = 'many'"), "BAD_SETTINGS", "app.port"),
        (lambda tmp: config(tmp, b"[markt]\nring_size = 5"), "BAD_SETTINGS", "'markt'"),
        (lambda tmp: ("--set", "app.port=0"), "BAD_SETTINGS", "app.port"),
        (lambda tmp: ("--set", "realtime.queue_bytes=NaN"), "BAD_SETTINGS", "realtime.queue_bytes"),
        (lambda tmp: ("--set", "nonsense"), "BAD_SETTINGS", "section.name=value"),
        (lambda tmp: ("--set", "app.log_level=loud"), "BAD_SETTINGS", "log_level"),
        (lambda tmp: ("--exchange", "nowhere"), "UNKNOWN_VENUE", "'nowhere'"),
        (lambda tmp: ("--replay", tmp / "nowhere.gz"), "RECORDING_NOT_FOUND", "nowhere.gz"),
        (lambda tmp: ("--replay", tmp, "--speed", "-3"), "BAD_SPEED", "'-3'"),
    ],
)
def test_a_start_that_cannot_be_is_one_line_with_a_code_and_exit_1(tmp_path, arguments, code, words):
    done = candlewick("up", "--exchange", "demo", "--port", free_port(), "--data-dir", tmp_path / "data",
                      *arguments(tmp_path), cwd=tmp_path)  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"candlewick: {code}: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_setting_of_the_environment_is_held_to_its_type_too(tmp_path):
    done = candlewick("up", "--exchange", "demo", "--data-dir", tmp_path, env={"CANDLEWICK_REALTIME__SNAPSHOT": "many"})
    assert done.returncode == 1
    assert done.stderr.startswith("candlewick: BAD_SETTINGS: environment: realtime.snapshot")
    assert len(done.stderr.splitlines()) == 1


def test_a_port_that_is_taken_says_so(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = candlewick("up", "--exchange", "demo", "--port", port, "--data-dir", tmp_path / "data")
    assert done.returncode == 1
    assert done.stderr.startswith(f"candlewick: PORT_TAKEN: cannot listen on 127.0.0.1:{port}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("place", ["file", "below a file", "log is a folder", "log is no log"])
def test_a_data_dir_that_cannot_be_is_one_line(tmp_path, place):
    data = tmp_path / "data"
    if place in {"file", "below a file"}:
        data.write_text("taken")
        data = data if place == "file" else data / "below"
    elif place == "log is a folder":
        (data / "log.db").mkdir(parents=True)
    else:
        data.mkdir()
        (data / "log.db").write_bytes(b"this is no database, whatever its name says" * 200)
    done = candlewick("up", "--exchange", "demo", "--port", free_port(), "--data-dir", data)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("candlewick: "), line
    assert line.split(":")[1].strip() in {"DATA_DIR", "LOG_CORRUPT", "LOG_UNAVAILABLE"}, line
