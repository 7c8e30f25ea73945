"""What deploy/ holds of services, alerts and metrics is what the code says, and the pipeline takes nothing on trust."""

import re

import pytest
import yaml

from tools.deploy import pages


def test_generated_files_of_deploy_are_current():
    assert [str(path) for path in pages.stale()] == [], "run ./dev gen"


def test_no_generated_file_is_left_over(root):
    made = set(pages.pages())
    folder = root / "deploy/helm/candlewick/files"
    assert {path.relative_to(root) for path in folder.rglob("*") if path.is_file()} <= made


@pytest.fixture(scope="module")
def workflows(root):
    return {path.name: yaml.safe_load(path.read_text()) for path in (root / ".github/workflows").glob("*.yml")}


def test_actions_are_named_by_commit(workflows):
    for name, flow in workflows.items():
        for job in flow["jobs"].values():
            for step in job["steps"]:
                assert "uses" not in step or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), (name, step)


def test_jobs_have_the_rights_they_name_and_no_others(workflows):
    for name, flow in workflows.items():
        assert flow["permissions"] == {}, name
        for title, job in flow["jobs"].items():
            rights = job["permissions"]
            assert rights.get("contents") == ("write" if title == "publish" else "read"), title
            assert "timeout-minutes" in job
            if name == "ci.yml":
                assert set(rights) == {"contents"}
            for step in job["steps"]:
                if "checkout@" in step.get("uses", ""):
                    assert step["with"]["persist-credentials"] is False
                # what a stranger may choose (a branch, a title) never becomes a part of a script
                assert "${{" not in step.get("run", ""), step


def test_the_pipeline_calls_the_verbs_that_everyone_calls(workflows, root):
    verbs = set(re.findall(r"^  (\w+)\)", (root / "dev").read_text(), re.MULTILINE))
    ran = "\n".join(
        step.get("run", "") for flow in workflows.values() for job in flow["jobs"].values() for step in job["steps"]
    )
    called = re.findall(r"\./dev (\w+)", ran)
    assert {"check", "docs", "test"} <= set(called) <= verbs
    assert (root / ".ci/run").is_file()
    for module in re.findall(r"python -m (tools[\w.]+)", ran):
        assert (root / module.replace(".", "/")).exists(), module
