"""The gates' own arithmetic: verdicts, counts, and what is shown of a failure."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import gates

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "LOGS", tmp_path)
    monkeypatch.setattr(gates, "REPORTS", tmp_path)


def python(name, program, **options):
    return gates.run(gates.Step(name, [sys.executable, "-c", program], **options))


def test_a_step_that_ends_well_is_ok_and_keeps_its_output(tmp_path):
    step = python("plain step", "print('hello')")
    assert (step.verdict, step.counts) == ("ok", (0, 0, 0))
    assert (tmp_path / "plain-step.log").read_text() == "hello\n"


def test_a_step_without_tests_that_fails_counts_as_one_failure():
    step = python("lint", "raise SystemExit(3)")
    assert (step.verdict, step.counts) == ("FAILED", (0, 1, 0))


def test_pytest_s_report_is_added_up(tmp_path):
    report = tmp_path / "some.xml"
    xml = '<testsuites><testsuite tests="10" failures="2" errors="1" skipped="3"/></testsuites>'
    step = python("tests", f"open({str(report)!r}, 'w').write({xml!r}); raise SystemExit(1)", report=report)
    assert (step.verdict, step.counts) == ("FAILED", (4, 3, 3))


def suite(folder, body):
    """A step over one file of tests, as a gate runs it."""
    (folder / "test_some.py").write_text(body)
    step = gates.pytest_step("some", mark="not slow", workers=1, extra=("-p", "no:schemathesis", "-c", "/dev/null"))
    for command in (step.command, step.alone):
        command[command.index("--collect-only") : command.index("--ignore=tests") + 1] = [str(folder)]
    return step


@pytest.mark.slow
def test_what_passes_alone_is_counted_as_passed_and_named(tmp_path):
    body = """
import pathlib
seen = pathlib.Path(__file__).with_name("seen")
def test_fine(): pass
def test_shaky():
    was = seen.exists()
    seen.touch()
    assert was
"""
    step = gates.run(suite(tmp_path, body))
    assert (step.verdict, step.counts) == ("ok", (2, 0, 0))
    assert [name.rpartition("::")[2] for name in step.shaky] == ["test_shaky"]


@pytest.mark.slow
def test_what_fails_twice_has_failed(tmp_path):
    step = gates.run(suite(tmp_path, "def test_fine(): pass\ndef test_bad(): assert False\n"))
    assert (step.verdict, step.counts, step.shaky) == ("FAILED", (1, 1, 0), ())
    assert "again, alone" in step.output


@pytest.mark.slow
def test_what_does_not_come_to_run_again_has_failed(tmp_path):
    step = suite(tmp_path, "def test_bad(): assert False\n")
    step.alone[-2:-2] = ["-k", "nothing_of_this_name"]
    done = gates.run(step)
    assert (done.verdict, done.counts, done.shaky) == ("FAILED", (0, 1, 0), ())


@pytest.mark.slow
def test_many_failures_are_no_accident(tmp_path):
    step = gates.run(suite(tmp_path, "".join(f"def test_{n}(): assert False\n" for n in range(gates.MANY + 1))))
    assert (step.verdict, step.counts) == ("FAILED", (0, gates.MANY + 1, 0))
    assert "again, alone" not in step.output


def test_an_old_report_is_not_counted(tmp_path):
    report = tmp_path / "some.xml"
    report.write_text('<testsuites><testsuite tests="10" failures="0" errors="0" skipped="0"/></testsuites>')
    step = python("tests", "raise SystemExit(2)", report=report)
    assert (step.verdict, step.counts) == ("FAILED", (0, 1, 0))


def test_no_tests_of_a_kind_is_said_and_is_no_failure(tmp_path):
    step = python("kills", f"raise SystemExit({gates.NO_TESTS})", report=tmp_path / "none.xml")
    assert (step.verdict, step.counts) == ("none here yet", (0, 0, 0))


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("      Tests  57 passed (57)", (57, 0, 0)),
        ("      Tests  1 failed | 20 passed | 2 skipped (23)", (20, 1, 2)),
        ("\x1b[2m      Tests \x1b[22m \x1b[1m\x1b[32m5 passed\x1b[39m\x1b[22m\x1b[90m (5)\x1b[39m", (5, 0, 0)),
        ("  3 skipped\n  41 passed (1.2m)", (41, 0, 3)),
        ("  1 failed\n    [chromium] › chart.spec.ts:3:1 › draws\n  4 passed (8.1s)", (4, 1, 0)),
    ],
    ids=["vitest", "vitest with all kinds", "vitest in colour", "playwright", "playwright with a failure"],
)
def test_the_page_s_tests_are_counted_from_what_their_runners_print(line, counts):
    failed = counts[1] > 0
    assert python("web", f"print({line!r}); raise SystemExit({int(failed)})").counts == counts


def test_the_end_of_a_test_run_is_shown_and_the_beginning_of_anything_else(tmp_path):
    lines = "\n".join(f"line {i}" for i in range(200))
    assert gates.excerpt(gates.Step("tests", [], tmp_path / "x", output=lines)).endswith("line 199")
    shown = gates.excerpt(gates.Step("types", [], output="a.py:1: note: long story\n" + lines))
    assert shown.startswith("line 0\n")
    assert "line 199" not in shown


def test_the_gate_ends_with_one_line_that_adds_up_and_names_what_failed(monkeypatch, capsys):
    fine = gates.Step("fine", [sys.executable, "-c", "print('      Tests  3 passed (3)')"])
    bad = gates.Step("bad", [sys.executable, "-c", "raise SystemExit(1)"])
    monkeypatch.setattr(gates, "check", lambda: [[fine], [bad]])
    monkeypatch.setattr("sys.argv", ["./dev", "check"])
    assert gates.main() == 1
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "3 passed, 1 failed, 0 skipped"
    assert out[-2].startswith("Failed: bad.")


def test_everything_that_has_tests_is_in_the_full_gate():
    stages = gates.test(servers=True, clusters=True)
    said = " ".join(word for stage in stages for step in stage for word in step.command)
    for folder in ("architecture", "unit", "contract", "conformance", "property", "simulation", "integration"):
        assert not (ROOT / "tests" / folder).exists() or f"tests/{folder}" in said


def test_dev_is_bash_and_lists_every_verb():
    script = (ROOT / "dev").read_text()
    subprocess.run(["bash", "-n", str(ROOT / "dev")], check=True)
    shown = subprocess.run([str(ROOT / "dev"), "help"], capture_output=True, text=True, check=True).stdout
    for verb in ("up", "test", "check", "servers", "bench", "gen", "new", "docs", "help"):
        assert f"\n  {verb}" in shown
        assert f"\n  {verb}" in script.partition("case $verb in")[2]


def test_dev_refuses_what_it_does_not_know():
    done = subprocess.run([str(ROOT / "dev"), "fly"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no verb fly" in done.stderr


def test_the_pipeline_runs_what_everyone_runs():
    script = (ROOT / ".ci/run").read_text()
    assert "export CI=true" in script
    assert "exec ./dev test" in script
