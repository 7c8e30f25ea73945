"""Reads all of deploy/ and .github with the tools of those who take it; how a command ends is its verdict."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.deploy import chart, pages, programs
from tools.servers import fetch
from tools.servers.place import Trouble

ROOT = Path(__file__).resolve().parents[2]
#: The oldest Kubernetes that the chart says it runs on, and the newest whose schemas are here.
KUBERNETES = ("1.29", "1.37")
_PROMTOOL_CASES = ROOT / "tests/unit/tools/alerts"


@dataclass(frozen=True, slots=True)
class Look:
    """One command; ``given`` is what it reads from standard input."""

    name: str
    command: list[str]
    given: str = ""
    path: str = ""


def looks() -> Iterator[Callable[[], list[Look]]]:
    """What is looked at, in groups that need the same program; making a group may fetch it and raise Trouble."""
    yield lambda: [Look("Dockerfile: hadolint", [*programs.wheel_command("hadolint"), "deploy/image/Dockerfile"])]
    yield _compose
    yield _workflows
    yield _rules
    yield _chart


def _schema(name: str, kind: str, *files: str) -> Look:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}", *files]
    return Look(name, command, path=str(programs.wheels()))


def _compose() -> list[Look]:
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "deploy/compose").glob("*.yaml"))
    return [_schema("Compose files: compose-spec", "compose-spec", *files)]


def _workflows() -> list[Look]:
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / ".github/workflows").glob("*.yml"))
    return [
        _schema("workflows: GitHub's schema", "github-workflows", *files),
        Look("workflows: actionlint", [*programs.go_command("actionlint"), "-no-color", *files]),
        Look("workflows: zizmor", [*programs.wheel_command("zizmor"), "--offline", "--quiet", "--no-progress", *files]),
    ]


def _rules() -> list[Look]:
    promtool = str(fetch.program("promtool", "prometheus"))
    cases = sorted(str(path.relative_to(ROOT)) for path in _PROMTOOL_CASES.glob("*.yaml"))
    return [
        Look("alerts: promtool check", [promtool, "check", "rules", str(pages.RULES)]),
        Look("alerts: promtool test", [promtool, "test", "rules", *cases]),
    ]


def _chart() -> list[Look]:
    helm = programs.go_command("helm")[0]
    path = str(programs.wheels())
    kinds = programs.kinds()
    lint = ["--set", "servers.kafka.brokers=kafka:9092", "--strict"]
    out = [Look("chart: helm lint", [helm, "lint", "--quiet", str(chart.CHART.relative_to(ROOT)), *lint])]
    for name, values in chart.VALUES.items():
        for version in KUBERNETES:
            lines = "".join(json.dumps(one) + "\n" for one in chart.rendered(helm, values, version=f"{version}.0"))
            command = [sys.executable, "-m", "tools.deploy.objects", version]
            out.append(Look(f"chart, {name}: Kubernetes {version}", command, lines, path))
        if values.get("scaling") or values.get("monitoring"):
            command = [programs.node(), str(kinds / "validate.mjs")]
            out.append(Look(f"chart, {name}: KEDA, Prometheus Operator", command, lines))
    return out


def run() -> int:
    """Print a line for every look, and what it said when it found something; returns how many did."""
    found = 0
    for group in looks():
        try:
            chosen = group()
        except Trouble as trouble:
            print(f"NOT LOOKED  {trouble}", flush=True)
            found += 1
            continue
        except subprocess.CalledProcessError as error:
            print(f"FAILED      {' '.join(map(str, error.cmd[:4]))}\n{error.stderr}", flush=True)
            found += 1
            continue
        for look in chosen:
            begin = time.monotonic()
            env = {**os.environ, **({"PYTHONPATH": look.path} if look.path else {})}
            done = subprocess.run(
                look.command, cwd=ROOT, env=env, input=look.given, capture_output=True, text=True, check=False
            )
            said = (done.stdout + done.stderr).strip()
            verdict = "FAILED" if done.returncode else "ok"
            print(f"{verdict:<11} {look.name} ({time.monotonic() - begin:.1f} s)", flush=True)
            if done.returncode:
                found += 1
                print(said, flush=True)
    return found
