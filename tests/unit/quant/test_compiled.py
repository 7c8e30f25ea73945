"""Kernels: compiled once, loaded from the cache after that, compiled anew when code they contain has changed."""

import os
import stat
import subprocess
import sys
import textwrap

import pytest

from candlewick import __version__
from candlewick.quant import compiled

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
import sys
import numpy as np
import kern
from candlewick.quant import compiled
x, out = np.ones(1), np.zeros(1)
x.setflags(write=False)
cached, imported = compiled.is_cached(), "numba" in sys.modules
from numba.core import event
with event.install_recorder("numba:compile") as seen:
    kern.apply(x, out)
print(cached, imported)
print(out[0], any(data.data["dispatcher"].py_func.__name__ == "apply" for _, data in seen.buffer))
"""


def run(folder, *, told=True, **environ):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment |= environ
    command = [sys.executable, str(folder / "main.py")]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    cached, numba_imported, *rest = done.stdout.split()
    assert numba_imported == "False"
    if told:
        assert (cached == "True") == (rest[1] == "False")
    return rest


@pytest.fixture
def program(tmp_path):
    (tmp_path / "kern.py").write_text(textwrap.dedent(KERNEL))
    (tmp_path / "main.py").write_text(textwrap.dedent(MAIN))
    (tmp_path / "helper.py").write_text(textwrap.dedent(HELPER.format(constant=1)))
    (tmp_path / "numbers_.py").write_text("SHIFT = 0")
    return tmp_path


@pytest.mark.slow
def test_a_kernel_is_cached_until_code_or_constants_in_it_change(program):
    assert run(program) == ["2.0", "True"]
    assert run(program) == ["2.0", "False"]
    (program / "helper.py").write_text(textwrap.dedent(HELPER.format(constant=2)))
    assert run(program) == ["3.0", "True"]
    assert run(program) == ["3.0", "False"]
    (program / "numbers_.py").write_text("SHIFT = 10")
    assert run(program) == ["13.0", "True"]


@pytest.mark.slow
def test_a_damaged_entry_is_compiled_around_and_mended(program):
    assert run(program) == ["2.0", "True"]
    (entry,) = (program / "cache").rglob("*.kernel")
    whole = entry.read_bytes()
    for damaged in (whole[:100], whole[:1000] + b"x" + whole[1001:]):
        entry.write_bytes(damaged)
        assert run(program, told=False) == ["2.0", "True"]
    assert run(program) == ["2.0", "False"]


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_costs_time_only(program):
    (program / "cache").write_text("a file where the folder should be")
    assert run(program)[0] == "2.0"
    assert stat.S_ISREG((program / "cache").stat().st_mode)


@pytest.mark.slow
def test_entries_go_to_the_users_cache_by_version_and_processor(program):
    home = program / "home"
    assert run(program, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(home)) == ["2.0", "True"]
    assert run(program, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(home)) == ["2.0", "False"]
    (entry,) = home.rglob("*.kernel")
    assert entry.parent.parent == home / "candlewick"
    assert entry.parent.name.startswith(f"kernels-{__version__}-")
    assert not list(program.rglob("*.nbc"))


@pytest.mark.slow
def test_old_entries_of_a_kernel_do_not_pile_up(program):
    (program / "cache").mkdir()
    old = [program / "cache" / f"kern.apply-{n}.kernel" for n in range(6)]
    for age, path in enumerate(old):
        path.write_bytes(b"")
        os.utime(path, (1_000_000_000 - age, 1_000_000_000 - age))
    other = program / "cache" / "kern.applies-0.kernel"
    other.write_bytes(b"")
    run(program)
    left = set((program / "cache").iterdir())
    assert len(left) == 5
    assert left > {*old[:3], other}


def test_the_folder_is_told_only_when_it_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "a" / "b"))
    assert compiled.cache_dir() == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert compiled.cache_dir() is None
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    place = compiled.cache_dir()
    assert place is not None
    assert place.parent == tmp_path / ".cache" / "candlewick"


LONE = """
from candlewick.app import kernels
from candlewick.quant import compiled
from candlewick.quant.indicators.registry import catalogue
catalogue()
del compiled._kernels[1:]
kernels._EVERY_SESSION = {"candlewick.quant.indicators": "registry"}
kernels.warm()
"""


@pytest.mark.slow
def test_a_start_says_when_it_compiles_and_is_quiet_when_it_does_not(tmp_path):
    """Law 18. One kernel stands for all: compiling them takes half a minute."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    said = []
    for _ in range(2):
        command = [sys.executable, "-c", LONE]
        said.append(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stderr)
    assert said[0].startswith("compiling numeric kernels, once for this machine and version")
    assert said[1] == ""
