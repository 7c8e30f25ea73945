"""A copy of the tree in which faults may be planted."""

import shutil
import sys
from pathlib import Path

import pytest

from tools import scaffold

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="module")
def copied_tree(tmp_path_factory):
    """Source, tools, tests' folder and configuration, with two scaffolded services ``alpha`` and ``beta``."""
    top = tmp_path_factory.mktemp("tree")
    ignore = shutil.ignore_patterns("__pycache__", "static", "*.nbc", "*.nbi")
    for folder in ("src", "tools", "benchmarks"):
        shutil.copytree(ROOT / folder, top / folder, ignore=ignore)
    for name in (".importlinter", "pyproject.toml"):
        shutil.copy(ROOT / name, top / name)
    scaffold.new_service(top, "alpha", 30)
    scaffold.new_service(top, "beta", 31)
    scaffold.new_indicator(top, "momentum")
    return top


@pytest.fixture(scope="session")
def python():
    return sys.executable
