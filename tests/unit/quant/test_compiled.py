"""Kernels: compiled once, loaded from the cache after that, compiled anew when code they contain has changed."""

import os
import stat
import subprocess
import sys
import textwrap

import pytest

HELPER = """
from candlewick.quant.compiled import inlined

@inlined
def step(x: float) -> float:
    return x + {constant}
"""
KERNEL = """
from candlewick.quant.compiled import kernel
from helper import step
from numbers_ import SHIFT

@kernel("const f8[:]", "f8[:]")
def apply(x, out):
    for i in range(x.size):
        out[i] = step(x[i]) + SHIFT
"""
MAIN = """
import numpy as np
import kern
from numba.core import event
x, out = np.ones(1), np.zeros(1)
x.setflags(write=False)
with event.install_recorder("numba:compile") as seen:
    kern.apply(x, out)
print(out[0], any(data.data["dispatcher"].py_func.__name__ == "apply" for _, data in seen.buffer))
"""


def run(folder):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, str(folder / "main.py")]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def program(tmp_path):
    (tmp_path / "kern.py").write_text(textwrap.dedent(KERNEL))
    (tmp_path / "main.py").write_text(textwrap.dedent(MAIN))
    (tmp_path / "helper.py").write_text(textwrap.dedent(HELPER.format(constant=1)))
    (tmp_path / "numbers_.py").write_text("SHIFT = 0")
    return tmp_path


def test_a_kernel_is_cached_until_code_or_constants_in_it_change(program):
    assert run(program) == ["2.0", "True"]
    assert run(program) == ["2.0", "False"]
    (program / "helper.py").write_text(textwrap.dedent(HELPER.format(constant=2)))
    assert run(program) == ["3.0", "True"]
    assert run(program) == ["3.0", "False"]
    (program / "numbers_.py").write_text("SHIFT = 10")
    assert run(program) == ["13.0", "True"]


def test_a_damaged_cache_is_compiled_around_and_mended(program):
    assert run(program) == ["2.0", "True"]
    (entry,) = (program / "cache").rglob("*.nbc")
    entry.write_bytes(entry.read_bytes()[:100])
    assert run(program) == ["2.0", "True"]
    assert run(program) == ["2.0", "False"]


def test_a_cache_that_cannot_be_written_costs_time_only(program):
    (program / "cache").write_text("a file where the folder should be")
    (program / "__pycache__").write_text("and here")
    assert run(program)[0] == "2.0"
    assert stat.S_ISREG((program / "cache").stat().st_mode)
