"""The reference is what the code says, and nothing that was released gets lost."""

import subprocess
import sys

import pytest

from candlewick.app import registry
from candlewick.app.cli import main as cli
from candlewick.contracts import topics
from tools import catalogues, commands, reference


def test_generated_pages_are_current():
    assert [str(path) for path in reference.stale()] == [], "run ./dev gen"


def test_the_docs_name_every_topic_setting_code_and_service(root):
    text = "\n".join(path.read_text() for path in (root / "docs/reference").glob("*.md"))
    wanted = [topic.name for topic in topics.CATALOGUE] + list(registry.SERVICES)
    wanted += [kind.code for kind in catalogues.errors()]
    wanted += [f"{section}.{name}" for section, kind in catalogues.settings() for name in kind.__struct_fields__]
    assert [name for name in wanted if name not in text] == []


def test_every_setting_says_what_it_means():
    silent = [
        f"{section}.{name}"
        for section, kind in catalogues.settings()
        for name, _, _, meaning in catalogues.fields(kind)
        if not meaning.endswith(".")
    ]
    assert silent == []


def test_every_command_that_help_lists_can_be_called():
    assert commands.names() == list(cli.COMMANDS)


def test_every_service_has_a_page_with_its_edges(root):
    for name in registry.SERVICES:
        text = (root / "src/candlewick/services" / name / "README.md").read_text()
        assert reference.BLOCK.search(text), f"{name}/README.md has no generated block"


def test_names_that_were_released_are_still_there():
    assert reference.lost() == []


@pytest.mark.slow
def test_the_site_builds_without_warnings(root, tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site/index.html").is_file()
