"""kill -9 of a child at a random instant, for tests of what is kept."""

import random
import subprocess
import sys
import time

_PATIENCE_S = 30.0


def killed_child(code: str, arguments: list[str], *, seed: int, least_s: float, most_s: float) -> list[str]:
    """The whole lines a child printed before it was killed.

    The child is a fresh interpreter that runs ``code``; it prints a first line when it is ready, and the kill comes
    between ``least_s`` and ``most_s`` after that, drawn from ``seed``. What it prints must be flushed.
    """
    child = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        ready = child.stdout.readline()
        assert ready, f"the child ended before it was ready, status {child.wait()}"
        time.sleep(random.Random(seed).uniform(least_s, most_s))
    finally:
        child.kill()
        rest = child.stdout.read()
        status = child.wait(_PATIENCE_S)
    assert status == -9, f"the child ended by itself, status {status}"
    return [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]


def seeds(count: int) -> list[int]:
    """Fixed seeds, so that a failing instant can be tried again; the test's id shows which."""
    return [1000 + i for i in range(count)]
