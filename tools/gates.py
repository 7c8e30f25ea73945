"""The two gates: ``check`` (fast, before every commit) and ``test`` (everything, as the pipeline runs it).

A gate is a list of steps. Steps of one stage run side by side on two lanes; stages follow one another, so that what
measures time or kills processes has the machine to itself. Tests that failed beside others are run a second time and
alone, and those that pass then are named: a busy machine is no fault of the product, and no secret. Every command is
printed, every step's output is kept in .dev/log, and the last line adds up all tests in the form ``N passed, N failed,
N skipped``.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".dev/log"
REPORTS = ROOT / ".dev/reports"
PY = sys.executable
NO_TESTS = 5  # pytest's exit status when it selected none
SLOWEST = ("--durations=12", "--durations-min=2")
MANY = 12  # so many failures are no accident
SLOW = "e2e or kill or wheel or slow or serial or ray or cluster"


@dataclass
class Step:
    """One command of a gate. ``report`` is the JUnit file its tests are counted from, if it runs tests; ``alone`` the
    command that runs those that failed again, one after the other; ``shaky`` names the tests that passed only then."""

    name: str
    command: list[str]
    report: Path | None = None
    cwd: Path = ROOT
    seconds: float = 0.0
    processor: float = 0.0
    status: int = 0
    output: str = ""
    counts: tuple[int, int, int] = (0, 0, 0)
    env: dict[str, str] = field(default_factory=dict)
    may_fail: bool = False
    alone: list[str] | None = None
    shaky: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        if self.status and self.may_fail:
            return "not to be had here"
        if self.status and not (self.report and self.status == NO_TESTS):
            return "FAILED"
        return "none here yet" if self.report and self.status == NO_TESTS else "ok"


def pytest_step(
    name: str, *paths: str, mark: str, workers: int, by_file: bool = False, extra: tuple[str, ...] = ()
) -> Step:
    """Tests of some folders under a marker expression; folders that are not there yet are left out. ``by_file``: those
    of a file go to one worker, because they share what they start."""
    here = [path for path in paths if (ROOT / path).exists()]
    report = REPORTS / f"{re.sub('[^a-z0-9]+', '-', name)}.xml"
    command = [PY, "-m", "pytest", "-q", "-m", mark, "-o", f"cache_dir={report.with_suffix('')}", *SLOWEST, *extra]
    command += here or ["--collect-only", "--ignore=tests"]
    dist = ["loadfile", "--no-loadscope-reorder"] if by_file else ["worksteal"]
    side_by_side = ["-n", str(workers), "--dist", *dist] if workers > 1 else []
    alone = [*command, "--lf", f"--junitxml={second(report)}"]
    return Step(name, [*command, f"--junitxml={report}", *side_by_side], report, alone=alone)


def second(report: Path) -> Path:
    """Where the second run of what failed is reported."""
    return report.with_name(f"{report.stem}-alone.xml")


def outcomes(report: Path) -> dict[str, bool]:
    """Whether each test of a JUnit file passed, by class and name; a skipped one is left out."""
    cases = ElementTree.parse(report).getroot().iter("testcase") if report.is_file() else ()
    found: dict[str, bool] = {}
    for one in cases:
        name = f"{one.get('classname')}::{one.get('name')}"
        if one.find("skipped") is None:
            is_bad = one.find("failure") is not None or one.find("error") is not None
            found[name] = found.get(name, True) and not is_bad
    return found


def failures(report: Path) -> set[str]:
    """The tests that a JUnit file says failed."""
    return {name for name, passed in outcomes(report).items() if not passed}


def count(step: Step) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of a finished step; as in JUnit, an expected failure counts as skipped."""
    passed = failed = skipped = 0
    if step.report and step.report.is_file():
        for suite in ElementTree.parse(step.report).getroot().iter("testsuite"):
            total, bad = int(suite.get("tests", 0)), int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            gone = int(suite.get("skipped", 0))
            passed, failed, skipped = passed + total - bad - gone, failed + bad, skipped + gone
    if not step.report:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", step.output)
        # vitest: "Tests  1 failed | 20 passed (21)"; playwright: a line for each kind, "  20 passed (8.1s)"
        said = re.findall(r"^\s*Tests\s+(.*)\(\d+\)$", plain, re.MULTILINE)
        said += re.findall(r"^  (\d+ (?:passed|failed|skipped))(?: \([\d.]+m?s?\))?$", plain, re.MULTILINE)
        for number, word in (pair for line in said for pair in re.findall(r"(\d+) (passed|failed|skipped)", line)):
            passed += int(number) * (word == "passed")
            failed += int(number) * (word == "failed")
            skipped += int(number) * (word == "skipped")
    if step.verdict == "FAILED" and not failed:
        failed = 1
    return passed, failed, skipped


def run(step: Step) -> Step:
    """Run one step to its end and keep what it printed."""
    begin = time.perf_counter()
    if step.report:
        step.report.unlink(missing_ok=True)
        shutil.rmtree(step.report.with_suffix(""), ignore_errors=True)
    step.status, step.output = ran(step, step.command)
    step.counts = count(step)
    (LOGS / f"{re.sub('[^a-z0-9]+', '-', step.name)}.log").write_text(step.output)
    if step.report and step.alone and 0 < len(failures(step.report)) <= MANY:
        look_again(step, step.alone, step.report)
    step.seconds = time.perf_counter() - begin
    print(f"{step.seconds:6.1f} s  {step.name}: {step.verdict}", flush=True)
    return step


def look_again(step: Step, command: list[str], report: Path) -> None:
    """Run what failed a second time, alone, and count it as it ended then."""
    before = failures(report)
    print(f"        {step.name}: {len(before)} failed and run again, alone", flush=True)
    second(report).unlink(missing_ok=True)
    status, output = ran(step, command)
    again = outcomes(second(report))
    step.shaky = tuple(sorted(name for name in before if again.get(name)))
    step.status = int(status != 0 or len(step.shaky) < len(before))
    step.output += f"\n--- again, alone:\n{output}"
    passed, _, skipped = step.counts
    step.counts = (passed + len(step.shaky), len(before) - len(step.shaky), skipped)
    (LOGS / f"{re.sub('[^a-z0-9]+', '-', step.name)}.log").write_text(step.output)


def ran(step: Step, command: list[str]) -> tuple[int, str]:
    """The exit status and what was printed; the processor time of all that it waited for is added to the step."""
    # without bytecode every worker compiles every test anew: 4 s of processor time each
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            command, cwd=step.cwd, stdout=output, stderr=subprocess.STDOUT, env={**kept, **step.env}
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        step.processor += usage.ru_utime + usage.ru_stime
        output.seek(0)
        return child.returncode, output.read().decode(errors="replace")


def shown(step: Step) -> str:
    words = ["python" if word == PY else word.replace(f"{ROOT}/", "") for word in step.command]
    return " ".join(f"'{word}'" if " " in word else word for word in words)


def excerpt(step: Step, lines: int = 80) -> str:
    """What is worth reading of a failed step: the end of a test run, the beginning of anything else."""
    kept = [line for line in step.output.rstrip().splitlines() if ": note: " not in line]
    return "\n".join(kept[-lines:] if step.report else kept[:lines])


def static_steps() -> list[Step]:
    return [
        Step("types", [PY, "-m", "mypy"]),
        Step("format", [PY, "-m", "ruff", "format", "--check", "."]),
        Step("lint", [PY, "-m", "ruff", "check", "--output-format=concise", "."]),
        Step("borders", [str(Path(PY).parent / "lint-imports"), "--no-logo"]),
    ]


def servers_step() -> Step:
    """The real servers, fetched and started while what needs none runs. Those that cannot be had here are named, and
    the tests that want one skip and say so."""
    return Step("servers", [PY, "-m", "tools.servers", "start"], may_fail=True)


def web_ready() -> bool:
    return (ROOT / "web/node_modules/.stamp").is_file() and shutil.which("npm") is not None


def check() -> list[list[Step]]:
    fast = pytest_step(
        "fast tests", "tests/unit", "tests/contract", "tests/architecture", "tests/conformance",
        # many wait more than they work; Schemathesis questions a running product only and takes a second to load
        mark=f"not ({SLOW})", workers=4, extra=("-p", "no:schemathesis"),
    )  # fmt: skip
    fast.alone = None
    steps = [fast, *static_steps()]
    if web_ready():
        web = ROOT / "web"
        steps += [
            Step(f"web {name}", ["npm", "run", "--silent", name], cwd=web) for name in ("lint", "types", "borders")
        ]
    return [steps]


def test(*, servers: bool, clusters: bool) -> list[list[Step]]:
    """``servers``: start the real ones first. ``clusters``: also what takes minutes on a whole cluster of processes."""
    tests = ("architecture", "unit", "contract", "conformance", "property", "simulation", "integration")
    folders = tuple(f"tests/{name}" for name in tests)
    web = [Step("web", ["npm", "run", "--silent", "check"], cwd=ROOT / "web")] if web_ready() else []
    stages = [
        # servers are fetched and built while the second lane does what wants none of them
        [
            *([servers_step()] if servers else []),
            *web,
            *static_steps(),
            pytest_step("wheel", "tests", mark="wheel and not kill", workers=1),
            *([pytest_step("jobs on Ray", "tests/conformance", mark="ray", workers=1)] if servers else []),
        ],
        # they wait more than they work
        [pytest_step("tests", *folders, mark="not (e2e or kill or wheel or serial or ray or cluster)", workers=4)],
        [pytest_step("tests that need the machine", *folders, mark="serial and not (e2e or kill or wheel)", workers=1)],
        # those of a file share what they kill
        [pytest_step("kills", "tests", mark="kill and not cluster", workers=2, by_file=True)],
        # they wait for markets more than they work; a file's tests share the product that they started. None wants a
        # server, whose idling costs a fifth of a core
        [
            pytest_step("end to end", "tests", mark="e2e and not (kill or wheel or cluster)", workers=3, by_file=True),
            *(
                [Step("servers away", [PY, "-m", "tools.servers", "stop"], may_fail=True)]
                if servers and not clusters and not running()
                else []
            ),
        ],
    ]
    if clusters:
        stages.append([pytest_step("cluster", "tests", mark="cluster", workers=1)])
    # without a browser ./dev has said so already
    if web and "CANDLEWICK_CHROMIUM" in os.environ:
        stages.append([Step("web in a browser", ["npm", "run", "--silent", "e2e"], cwd=ROOT / "web")])
    return stages


def running() -> set[str]:
    """The real servers that run now, by name."""
    from tools.servers.__main__ import everything

    return {name for name, server in everything().items() if server.pids()}


@contextmanager
def servers_as_found() -> Iterator[None]:
    """Servers that ran before go on; those that a gate started are stopped with it."""
    before = running()
    try:
        yield
    finally:
        ours = sorted(running() - before)
        if ours:
            subprocess.run([PY, "-m", "tools.servers", "stop", *ours], cwd=ROOT, check=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev", description=__doc__)
    parser.add_argument("gate", choices=("check", "test"))
    parser.add_argument("--only", help="steps whose name holds this text")
    parser.add_argument("--no-servers", action="store_true", help="test: what needs a real server skips")
    parser.add_argument(
        "--all", action="store_true", help="test: also whole clusters, their upgrade and chaos (half an hour more)"
    )
    args = parser.parse_args()
    stages = check() if args.gate == "check" else test(servers=not args.no_servers or args.all, clusters=args.all)
    if args.only:
        stages = [kept for stage in stages if (kept := [step for step in stage if args.only in step.name])]
    for folder in (LOGS, REPORTS):
        folder.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    steps: list[Step] = []
    with servers_as_found(), ThreadPoolExecutor(2) as lanes:
        for stage in stages:
            for step in stage:
                print(f"+ {shown(step)}", flush=True)
            steps += lanes.map(run, stage)
    failed = [step for step in steps if step.verdict == "FAILED"]
    for step in failed:
        print(f"\n=== {step.name}: {shown(step)}\n{excerpt(step)}")
    print(f"\n{'step':<30}{'seconds':>8}{'of CPU':>8}{'passed':>8}{'failed':>8}{'skipped':>8}")
    for step in steps:
        times = f"{step.seconds:>8.1f}{step.processor:>8.0f}"
        columns = "".join(f"{n or '':>8}" for n in step.counts)
        print(f"{step.name:<30}{times}{columns}  {step.verdict if step.verdict != 'ok' else ''}".rstrip())
    for step in steps:
        for name in step.shaky:
            print(f"passed only alone, at the second try: {name} ({step.name})")
    print(f"{'in all':<30}{time.perf_counter() - begin:>8.1f}")
    if failed:
        print(f"Failed: {', '.join(step.name for step in failed)}. Full output is in .dev/log.")
    totals = [sum(step.counts[i] for step in steps) for i in range(3)]
    print(f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
