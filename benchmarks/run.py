"""Run the benchmark modules of a suite, print medians and ratios, hold them to ``budgets.toml``.

Suites are the folders of ``benchmarks/``; a module is run in a process of its own, so that what one loads or compiles
does not colour the next. Figures are written as JSON to .dev/bench/<suite>.json (``--json FILE`` elsewhere).
"""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.measure import Figure

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def suites() -> list[str]:
    """Every suite there is."""
    return sorted(path.parent.name for path in HERE.glob("*/__init__.py"))


def modules(suite: str) -> list[str]:
    """The benchmark modules of a suite; those whose name starts with an underscore are shared parts."""
    return sorted(path.stem for path in (HERE / suite).glob("*.py") if not path.stem.startswith("_"))


def measure(suite: str, module: str) -> list[Figure]:
    """Figures of one module, from a fresh process. Raises SystemExit when it fails."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, "-m", "benchmarks.run", "--one", f"benchmarks.{suite}.{module}", "--json", out.name]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if status:
            raise SystemExit(f"benchmarks/{suite}/{module}.py failed with status {status}")
        return msgspec.json.decode(Path(out.name).read_bytes(), type=list[Figure])


def verdict(figure: Figure, budget: dict[str, Any], strict: bool) -> tuple[str, bool]:
    """What the budget says of a figure, and whether it is broken."""
    if figure.value is None:
        return "", False
    words, broken = [], False
    if "min_ratio" in budget:
        if figure.ratio is None:
            return "has a ratio budget but no peer", True
        broken = figure.ratio < budget["min_ratio"]
        words.append(f"{'BELOW' if broken else 'holds'} {budget['min_ratio']}x")
    if "goal" in budget:
        goal = budget["goal"]
        met = figure.value >= goal if figure.better == "higher" else figure.value <= goal
        words.append(f"goal {goal:,} {'met' if met else 'missed'}")
        broken = broken or (strict and not met)
    return ", ".join(words), broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("suite", nargs="*", help=f"any of: {', '.join(suites())}; all when none is named")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--strict", action="store_true", help="a missed absolute goal fails too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        args.json.write_bytes(msgspec.json.encode(importlib.import_module(args.one).main()))
        return 0
    unknown = set(args.suite) - set(suites())
    if unknown:
        parser.error(f"suite must be one of {', '.join(suites())}, was {min(unknown)!r}")
    budgets = tomllib.loads((HERE / "budgets.toml").read_text())
    broken: list[str] = []
    for suite in args.suite or suites():
        figures = [figure for module in modules(suite) for figure in measure(suite, module)]
        print(f"\n{suite} ({os.cpu_count()} cores; medians)")
        for figure in figures:
            words, bad = verdict(figure, budgets.get(suite, {}).get(figure.name, {}), args.strict)
            peer = f"  {figure.ratio:.1f}x {figure.peer}" if figure.ratio is not None else ""
            shown = "not measured" if figure.value is None else f"{figure.value:,.6g}"
            print(f"  {figure.name:<46} {shown:>16} {figure.unit}{peer}  {words}".rstrip())
            if figure.note:
                print(f"    {figure.note}")
            if bad:
                broken.append(f"{suite}: {figure.name}")
        missing = sorted(set(budgets.get(suite, {})) - {figure.name for figure in figures})
        broken += [f"{suite}: {name} has a budget but was not measured" for name in missing]
        target = args.json or ROOT / f".dev/bench/{suite}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    if broken:
        print("\nOver budget: " + "; ".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
