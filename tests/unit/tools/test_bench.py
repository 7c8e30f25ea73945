"""Budgets: a ratio below its minimum fails on any machine, an absolute goal only when asked."""

import tomllib
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.measure import Figure, median, seconds

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("figure", "budget", "strict", "says", "broken"),
    [
        (Figure("f", 9, "x/s", ratio=2.0), {"min_ratio": 1.5}, False, "holds 1.5x", False),
        (Figure("f", 9, "x/s", ratio=1.0), {"min_ratio": 1.5}, False, "BELOW 1.5x", True),
        (Figure("f", 9, "x/s"), {"min_ratio": 1.5}, False, "no peer", True),
        (Figure("f", 9, "x/s"), {"goal": 10}, False, "goal 10 missed", False),
        (Figure("f", 9, "x/s"), {"goal": 10}, True, "goal 10 missed", True),
        (Figure("f", 9, "ms", better="lower"), {"goal": 10}, True, "goal 10 met", False),
        (Figure("f", 9, "x/s"), {}, True, "", False),
    ],
)
def test_verdicts(figure, budget, strict, says, broken):
    words, bad = run.verdict(figure, budget, strict)
    assert says in words
    assert bad is broken


def test_every_budget_names_a_suite_and_says_why():
    budgets = tomllib.loads((ROOT / "benchmarks/budgets.toml").read_text())
    assert set(budgets) <= set(run.suites())
    for suite, figures in budgets.items():
        assert run.modules(suite)
        for name, budget in figures.items():
            assert budget.get("note"), name
            assert set(budget) <= {"min_ratio", "goal", "note"}, name


def test_a_timing_is_taken_after_one_run_that_does_not_count():
    calls = []
    taken = seconds(lambda: calls.append(1), runs=3)
    assert len(calls) == 4
    assert len(taken) == 3
    assert median((3.0, 1.0, 2.0)) == 2.0
