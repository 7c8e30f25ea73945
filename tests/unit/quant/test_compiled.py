"""Kernels: compiled once, loaded from the cache after that, compiled anew when code they contain has changed."""

import os
import subprocess
import sys
import textwrap

HELPER = """
from candlewick.quant.compiled import inlined

@inlined
def step(x: float) -> float:
    return x + {constant}
"""
KERNEL = """
from candlewick.quant.compiled import kernel
from helper import step

@kernel("const f8[:]", "f8[:]")
def apply(x, out):
    for i in range(x.size):
        out[i] = step(x[i])
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
    done = subprocess.run(
        [sys.executable, folder / "main.py"], env=environment, capture_output=True, check=True, text=True
    )
    return done.stdout.split()


def test_a_kernel_is_cached_until_its_helper_changes(tmp_path):
    (tmp_path / "kern.py").write_text(textwrap.dedent(KERNEL))
    (tmp_path / "main.py").write_text(textwrap.dedent(MAIN))
    (tmp_path / "helper.py").write_text(textwrap.dedent(HELPER.format(constant=1)))
    assert run(tmp_path) == ["2.0", "True"]
    assert run(tmp_path) == ["2.0", "False"]
    (tmp_path / "helper.py").write_text(textwrap.dedent(HELPER.format(constant=2)))
    assert run(tmp_path) == ["3.0", "True"]
    assert run(tmp_path) == ["3.0", "False"]
