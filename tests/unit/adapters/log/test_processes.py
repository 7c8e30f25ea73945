"""Several processes on one data dir (law 17): interleaved writers, readers woken soon, idle ones cost nothing."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.serial

CHILD = Path(__file__).with_name("child.py")


def child(*words: object) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, str(CHILD), *map(str, words)], stdout=subprocess.PIPE, text=True)


def test_three_writers_and_two_readers(tmp_path: Path) -> None:
    readers = [child("read", tmp_path, 3 * 301) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert json.loads(reader.stdout.readline()) == {"ready": True}
    writers = [child("write", tmp_path, f"w{i}", 300) for i in range(3)]
    counts = {}
    for i, writer in enumerate(writers):
        out, _ = writer.communicate(timeout=60)
        assert writer.returncode == 0
        counts[f"venue:w{i}"] = json.loads(out.strip().split("\n")[-1])["kept"]
    assert sum(counts.values()) >= 3 * 301 - 3
    for reader in readers:
        if sum(counts.values()) < 3 * 301:
            reader.kill()
            continue
        out, _ = reader.communicate(timeout=60)
        heard = json.loads(out.strip().split("\n")[-1])
        assert {key: len(values) for key, values in heard["got"].items()} == counts
        for values in heard["got"].values():
            assert values == list(range(len(values))), "in order per key, none twice"
        late_ms = sorted(ns / 1e6 for ns in heard["late"])
        print(f"append to poll in another process: p50 {statistics.median(late_ms):.2f} ms, max {late_ms[-1]:.1f} ms")
        assert statistics.median(late_ms) < 50, "woken, not found at a time-out"


def test_idle_processes_cost_next_to_nothing(tmp_path: Path) -> None:
    idle = [child("idle", tmp_path, 2 + i / 10) for i in range(6)]
    shares = []
    for process in idle:
        out, _ = process.communicate(timeout=60)
        shares.append(json.loads(out.strip().split("\n")[-1])["cpu"])
    print(f"idle: {[f'{share:.2%}' for share in shares]} of a core")
    assert statistics.median(shares) < 0.02
