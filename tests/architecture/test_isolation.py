"""What importlib could hide from the linter: each part is imported alone, in a fresh interpreter."""

import configparser
import subprocess
import sys

import pytest

SERVICES = "candlewick.services."


def modules_after(code):
    """Names in sys.modules after a program, from an interpreter of its own."""
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return set(done.stderr.splitlines())


def drivers(root):
    config = configparser.ConfigParser()
    config.read(root / ".importlinter")
    names = [config[f"importlinter:contract:{name}"]["forbidden_modules"].split() for name in ("drivers", "sockets")]
    return {name for part in names for name in part}


def service_names(root):
    return sorted(path.parent.name for path in (root / "src/candlewick/services").glob("*/service.py"))


def pytest_generate_tests(metafunc):
    if "service" in metafunc.fixturenames:
        metafunc.parametrize("service", service_names(metafunc.config.rootpath))


@pytest.mark.slow
def test_a_service_alone_loads_no_other_service_no_adapter_and_no_driver(service, root):
    loaded = modules_after(f"import {SERVICES}{service}.service")
    others = {m for m in loaded if m.startswith(SERVICES) and not f"{m}.".startswith(f"{SERVICES}{service}.")}
    assert others == set()
    assert {m for m in loaded if m.startswith(("candlewick.adapters", "candlewick.app", "candlewick.testing"))} == set()
    assert {m for m in loaded if m.partition(".")[0] in drivers(root)} == set()


def test_services_and_their_folders_are_the_registry_s(root):
    from candlewick.app import registry

    folders = {path.parent.name for path in (root / "src/candlewick/services").glob("*/__init__.py")}
    assert folders == set(registry.SERVICES)


@pytest.mark.parametrize("part", ["kernel", "contracts.codec", "contracts.topics", "quant.compiled", "ports.runtime"])
def test_lower_rooms_load_no_upper_one(part):
    loaded = modules_after(f"import candlewick.{part}")
    upper = ("candlewick.app", "candlewick.services", "candlewick.adapters", "candlewick.testing")
    assert {m for m in loaded if m.startswith(upper)} == set()


def test_help_loads_nothing_heavy():
    heavy = {"alembic", "fastapi", "httpx", "llvmlite", "numba", "pyarrow", "sqlalchemy", "uvicorn"}
    program = "sys.argv = ['candlewick', '--help']\nfrom candlewick.app.cli.main import main\n"
    program += "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    loaded = modules_after(program)
    assert {m.partition(".")[0] for m in loaded} & heavy == set()
    # 0.3 s of CPU is the promise; a tenth of a millisecond a module is what an import costs at the least
    assert len(loaded) < 900
