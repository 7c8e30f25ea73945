"""Each import contract catches the fault it is there for: planted in a copy of the tree, named in the refusal."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
C = "src/candlewick"


def lint(top, *contracts):
    """Exit status and output of the borders' gate in a tree."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    for contract in contracts:
        command += ["--contract", contract]
    env = {**os.environ, "PYTHONPATH": str(top / "src"), "COLUMNS": "200"}
    done = subprocess.run(command, cwd=top, env=env, capture_output=True, text=True, check=False)
    return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)


FAULTS = [
    ("stack", {f"{C}/kernel/clock.py": "import candlewick.ports.log"}),
    ("stack", {f"{C}/contracts/topics.py": "import candlewick.quant.compiled"}),
    ("stack", {f"{C}/quant/compiled.py": "import candlewick.ports.log"}),
    ("stack", {f"{C}/ports/log.py": "import candlewick.adapters"}),
    ("stack", {f"{C}/services/alpha/service.py": "import candlewick.adapters.db"}),
    ("stack", {f"{C}/services/alpha/handlers.py": "import candlewick.app.registry"}),
    ("stack", {f"{C}/adapters/db/__init__.py": "import candlewick.services.alpha"}),
    ("stack", {f"{C}/extras/__init__.py": ""}),
    ("services", {f"{C}/services/beta/service.py": "import candlewick.services.alpha.domain"}),
    ("adapters", {f"{C}/adapters/db/one.py": "", f"{C}/adapters/cache/two.py": "import candlewick.adapters.db.one"}),
    ("adapters", {f"{C}/adapters/db/one.py": "", f"{C}/adapters/db/two.py": "import candlewick.adapters.db.one"}),
    ("adapters", {f"{C}/adapters/db/one.py": "", f"{C}/adapters/db/__init__.py": "import candlewick.adapters.db.one"}),
    ("adapters", {f"{C}/adapters/db/one.py": "", f"{C}/adapters/_sqlite/two.py": "import candlewick.adapters.db.one"}),
    ("shape", {f"{C}/services/alpha/domain.py": "import candlewick.services.alpha.handlers"}),
    ("shape", {f"{C}/services/alpha/handlers.py": "import candlewick.services.alpha.storage"}),
    ("shape", {f"{C}/services/alpha/api.py": "import candlewick.services.alpha.storage"}),
    ("shape", {f"{C}/services/alpha/settings.py": "import candlewick.services.alpha.errors"}),
    ("shape", {f"{C}/services/alpha/events.py": ""}),
    ("pure", {f"{C}/quant/compiled.py": "import time"}),
    ("pure", {f"{C}/contracts/topics.py": "import candlewick.kernel.system"}),
    ("pure", {f"{C}/services/alpha/domain.py": "import asyncio"}),
    ("pure", {f"{C}/services/alpha/domain.py": "from random import random"}),
    ("drivers", {f"{C}/services/alpha/storage.py": "import sqlite3"}),
    ("drivers", {f"{C}/app/registry.py": "import confluent_kafka"}),
    ("sockets", {f"{C}/services/alpha/handlers.py": "import httpx"}),
    ("generated", {f"{C}/contracts/stream.py": "import candlewick.contracts._gen.candlewick.stream.v1.candles_pb2"}),
    ("protobuf", {f"{C}/app/registry.py": "from google.protobuf import message"}),
    ("cycles", {f"{C}/kernel/ids.py": "import candlewick.kernel.system"}),
]


def test_the_copy_without_a_fault_is_clean(copied_tree):
    status, said = lint(copied_tree)
    assert status == 0, said


@pytest.mark.parametrize(
    ("contract", "planted"),
    FAULTS,
    ids=lambda value: value if isinstance(value, str) else list(value)[-1].split("/", 2)[2],
)
def test_a_planted_fault_is_refused(copied_tree, contract, planted):
    kept = {}
    for name, line in planted.items():
        path = copied_tree / name
        kept[path] = path.read_text() if path.exists() else None
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{kept[path] or ''}\n{line}\n")
    try:
        status, said = lint(copied_tree, contract)
    finally:
        for path, text in kept.items():
            if text is None:
                path.unlink()
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()
            else:
                path.write_text(text)
    config = configparser.ConfigParser()
    config.read(copied_tree / ".importlinter")
    assert status == 1, said
    assert f"{config[f'importlinter:contract:{contract}']['name']} BROKEN" in said


def test_every_contract_has_a_planted_fault(root):
    config = configparser.ConfigParser()
    config.read(root / ".importlinter")
    contracts = {name.rpartition(":")[2] for name in config.sections() if ":contract:" in name}
    assert contracts == {contract for contract, _ in FAULTS}


def test_nothing_is_exempt(root):
    assert "ignore_imports" not in (root / ".importlinter").read_text()
