"""The image's Dockerfile does what the repository's own commands do, and its parts fit one another."""

import http.server
import importlib.util
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "deploy/image/Dockerfile"
HEALTH = ROOT / "deploy/image/health.py"


def instructions():
    """(keyword, text) of every instruction, continued lines joined, comments out."""
    lines = [line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(" ", 1)) for line in joined.splitlines() if line.strip()]


STEPS = instructions()


def texts(keyword):
    return [text for word, text in STEPS if word == keyword]


def stages():
    """Instructions by stage; the last stage has no name."""
    found, name = {}, ""
    for keyword, text in STEPS:
        if keyword == "FROM":
            name = text.partition(" AS ")[2]
        found.setdefault(name, []).append((keyword, text))
    return found


def test_every_stage_is_made_from_the_one_image_that_a_build_may_name():
    for text in texts("FROM"):
        base = text.partition(" AS ")[0]
        assert base in {"${PYTHON_IMAGE}", "tools"}
    default = next(text for text in texts("ARG") if text.startswith("PYTHON_IMAGE="))
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11[\w.-]*", default), "no host: the builder's own registry is meant"


def test_everything_that_is_copied_is_there_and_let_in():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in ignored if line and not line.startswith("#")) == "*"
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    for text in texts("COPY"):
        if text.startswith("--from="):
            continue
        for source in text.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source == path or source.startswith(path + "/") for path in let_in), (
                f".dockerignore has no {source}"
            )


def test_what_is_let_in_is_needed():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = " ".join(text for text in texts("COPY") if not text.startswith("--from="))
    assert [line[1:] for line in ignored if line.startswith("!") and line[1:] not in copied] == []


def test_nothing_is_installed_that_is_not_locked_by_hash():
    for text in texts("RUN"):
        for command in re.split(r"&&|;", text):
            if re.search(r"\bpip install\b", command):
                assert "--require-hashes" in command or "--no-deps" in command, command
        for lock in re.findall(r"-r (\S+)", text):
            assert "--hash=sha256:" in (ROOT / lock).read_text()
        assert "apt-get" not in text
        assert "curl" not in text


def test_the_page_and_the_wheel_are_built_as_dev_and_the_tests_build_them():
    dev = (ROOT / "dev").read_text()
    ran = " ".join(texts("RUN"))
    assert "npm --prefix web install --no-save --no-audit --no-fund --loglevel=error" in ran
    assert 'npm --prefix "$ROOT/web" install --no-save --no-audit --no-fund --loglevel=error' in dev
    assert "npm --prefix web run build" in ran
    assert 'npm --prefix "$ROOT/web" run build' in dev
    assert "-m hatchling build --target wheel" in ran
    assert "-m tools.warm" in ran
    assert "-m tools.warm" in dev


def test_the_last_stage_runs_no_build_and_is_nobody():
    last = stages()[""]
    assert [text for keyword, text in last if keyword == "USER"] == ["10001:10001"]
    commands = [text for keyword, text in last if keyword == "RUN"]
    assert commands == ["mkdir -p /data && chown 10001:10001 /data"]
    after = [keyword for keyword, _ in last[[keyword for keyword, _ in last].index("USER") :]]
    assert not {"RUN", "COPY", "ADD"} & set(after)


def test_kernels_are_looked_for_where_and_as_they_were_made():
    by_stage = stages()
    made = " ".join(text for keyword, text in by_stage["install"] if keyword == "ENV")
    used = " ".join(text for keyword, text in by_stage[""] if keyword == "ENV")
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_CACHE_DIR"):
        pattern = rf"{name}=(\S+)"
        assert re.search(pattern, made)[1] == re.search(pattern, used)[1]
    from candlewick.quant import kernel_cache

    assert {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"} <= set(kernel_cache._SETTINGS), "the entries' names depend on both"


def test_the_entry_point_and_settings_are_the_product_s():
    from candlewick.app.cli import main as cli
    from candlewick.app.configuration import AppSettings
    from candlewick.kernel.settings import environment_layer

    assert texts("ENTRYPOINT") == ['["candlewick"]']
    assert texts("CMD")[-1].strip('[]"') in cli.COMMANDS
    names = re.findall(r"(CANDLEWICK_\w+)=(\S+)", " ".join(texts("ENV")))
    layer = environment_layer(dict(names))
    assert set(layer.values) == {"app"}
    assert set(layer.values["app"]) <= set(AppSettings.__struct_fields__)


class Answer(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def answering():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def asked(port):
    done = subprocess.run([sys.executable, "-IS", str(HEALTH), str(port)], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_health_is_the_service_s(answering, monkeypatch):
    assert asked(answering) == (0, "")
    monkeypatch.setattr(Answer, "status", 503)
    status, told = asked(answering)
    assert status == 1
    assert "503" in told


def test_a_service_that_does_not_answer_is_not_healthy():
    spec = importlib.util.spec_from_file_location("health", HEALTH)
    health = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(health)
    import socket

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(OSError, match="timed out"):
            health.ask(deaf.getsockname()[1], 0.05)
        port = deaf.getsockname()[1]
    status, told = asked(port)
    assert status == 1
    assert "nothing answers" in told
