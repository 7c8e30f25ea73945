"""From ``candlewick up`` to ready, warm: kernels compiled before, a data dir that exists, the demo market."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from benchmarks.measure import Figure, median

RUNS = 4


def _start(folder: str, port: int) -> tuple[float, float]:
    """Seconds to ready as measured from outside, and as the product says of itself."""
    env = {**os.environ, "CANDLEWICK_DATA_DIR": folder}
    command = [sys.executable, "-m", "candlewick.app.cli.main", "up", "--exchange", "demo", "--port", str(port)]
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    took = time.perf_counter() - begin
    process.send_signal(signal.SIGINT)
    process.wait(60)
    found = re.search(r"ready in ([0-9.]+) s", line)
    if found is None:
        raise SystemExit(f"did not start: {line!r}")
    return took, float(found.group(1))


def main() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        _start(folder, 18_950)
        runs = [_start(folder, 18_950) for _ in range(RUNS)]
    outside = tuple(took for took, _ in runs)
    return [Figure("candlewick up to ready, warm", median(outside), "s", "lower", outside)]


if __name__ == "__main__":
    for figure in main():
        print(figure)
