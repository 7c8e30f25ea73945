"""What is shipped runs alone: the wheel in an empty environment, with the page inside, started twice and stopped."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(400)]
ROOT = Path(__file__).resolve().parents[2]
START_S, STOP_S = 90, 30


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if not (ROOT / "src/candlewick/app/static/index.html").is_file():
        pytest.skip("the page is not built; ./dev test builds it")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", out, cwd=ROOT)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The ``candlewick`` of an environment that holds the locked packages, the wheel, and nothing of this checkout."""
    uv = next((str(p) for p in (ROOT / ".dev/uv/bin/uv", shutil.which("uv")) if p and Path(p).exists()), None)
    if uv is None:
        pytest.skip("uv is not here; ./dev test fetches it")
    home = tmp_path_factory.mktemp("empty")
    env = {**os.environ, "UV_SYSTEM_CERTS": "true", "UV_NO_CONFIG": "1"}
    env.pop("VIRTUAL_ENV", None)
    python = home / "venv/bin/python"
    run(uv, "venv", "--quiet", "--python", sys.executable, home / "venv", env=env)
    lock = ROOT / "requirements/run.txt"
    run(uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", lock, env=env)
    run(uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--offline", wheel, env=env)
    return home / "venv/bin/candlewick"


def test_the_wheel_holds_the_page_and_the_schemas_histories(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "candlewick/app/static/index.html" in names
    assert any(name.startswith("candlewick/app/static/assets/") and name.endswith(".js") for name in names)
    assert any("/schema/versions/" in name for name in names)
    assert "candlewick/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    strays = [name for name in names if name.endswith((".nbc", ".nbi", ".pyc", ".map")) or name.startswith("tests/")]
    assert strays == []


def test_it_says_its_version_and_helps(installed, tmp_path):
    from candlewick import __version__

    assert run(installed, "--version", cwd=tmp_path).split() == ["candlewick", __version__]
    assert "commands" in run(installed, "--help", cwd=tmp_path)


@contextlib.contextmanager
def up(candlewick, data_dir):
    """``candlewick up`` on a free port, ready; its address. Ctrl-C at the end must end it cleanly."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CANDLEWICK", "PYTHON"))}
    command = [candlewick, "up", "--exchange", "demo", "--port", str(port), "--data-dir", data_dir]
    log = data_dir.with_suffix(".log")
    with log.open("a") as out:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=data_dir.parent, env=env, stdout=out, stderr=out
        )
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + START_S
            while get(f"{address}/health")[0] != 200:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield address
            process.send_signal(signal.SIGINT)
            assert process.wait(STOP_S) in {0, 130}, log.read_text()
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text()


def get(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
    except OSError:
        return 0, {}, b""


def test_it_starts_serves_stops_and_starts_again(installed, tmp_path):
    data_dir = tmp_path / "data"
    with up(installed, data_dir) as address:
        status, headers, page = get(f"{address}/")
        assert status == 200
        assert headers.get_content_type() == "text/html"
        assert b"<div id=" in page
        assert headers["content-security-policy"]
        assert get(f"{address}/no/such/thing.js")[0] == 404
    with up(installed, data_dir) as address:
        assert get(f"{address}/health")[0] == 200
