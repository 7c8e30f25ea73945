"""What ``./dev new`` makes passes the gates before anyone has touched it."""

import os
import subprocess
import sys

import pytest

from tools import scaffold

pytestmark = pytest.mark.slow
MADE = ["src/candlewick/services/alpha", "src/candlewick/quant/indicators/library/momentum.py"]


def run(tree, *command):
    env = {**os.environ, "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}", "MYPYPATH": str(tree / "src")}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=tree, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_service_and_indicator_are_formatted_linted_and_typed(copied_tree):
    run(copied_tree, "ruff", "format", "--check", *MADE, "tests/unit/services/alpha")
    run(copied_tree, "ruff", "check", *MADE, "tests/unit/services/alpha")
    run(copied_tree, "mypy", *MADE)


def test_a_new_service_s_own_test_passes(copied_tree):
    assert "3 passed" in run(copied_tree, "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/services/alpha")


def test_a_new_service_is_registered_before_the_gateway(copied_tree):
    code = "from candlewick.app import registry; s = registry.load('alpha'); print(registry.SERVICES[-1], s.place)"
    env = {**os.environ, "PYTHONPATH": str(copied_tree / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gateway", "30"]


def test_a_new_indicator_is_found_and_right(copied_tree):
    code = (
        "import numpy as np; from types import SimpleNamespace as N\n"
        "from candlewick.quant.indicators.registry import compute, parse\n"
        "c = np.array([1.0, 2, 4, np.nan, 8, 16, 32]); t = np.arange(7) * 60_000\n"
        "candles = N(open_time=t, open=c, high=c, low=c, close=c, volume=c)\n"
        "print(compute(parse('momentum:2'), candles)['momentum'].tolist())"
    )
    env = {**os.environ, "PYTHONPATH": str(copied_tree / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[nan, nan, 3.0, nan, nan, nan, 24.0]"


def test_nothing_is_overwritten(copied_tree):
    with pytest.raises(scaffold.Refused, match="'alpha'"):
        scaffold.new_service(copied_tree, "alpha", 32)
    with pytest.raises(scaffold.Refused, match="'momentum'"):
        scaffold.new_indicator(copied_tree, "momentum")
