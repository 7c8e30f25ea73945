"""The served API as files: what a running product says of itself, on the demo market, is written down and compared.

``docs/reference/openapi.json`` describes routes, ``docs/reference/asyncapi.json`` sockets, and
``docs/reference/http.md`` lists both for people.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OPENAPI = Path("docs/reference/openapi.json")
ASYNCAPI = Path("docs/reference/asyncapi.json")
START_S = 120.0


class NotServed(Exception):
    """The product did not come up; the message holds what it printed."""


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The address of a product on the demo market, in a process and a data dir of its own. Raises NotServed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("CANDLEWICK_")}
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        data_dir = Path(folder) / "data"
        command = [sys.executable, "-m", "candlewick.app.cli.main", "up", "--exchange", "demo"]
        command += ["--port", str(port), "--data-dir", str(data_dir)]
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + START_S
            while not _answers(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise NotServed(log.read())
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def served() -> dict[Path, str]:
    """The documents as the product serves them, formatted as they are kept. Raises NotServed."""
    with running() as address:
        return {path: _document(f"{address}/{path.name}") for path in (OPENAPI, ASYNCAPI)}


def _document(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as reply:
        return json.dumps(json.load(reply), indent=2, ensure_ascii=False) + "\n"


def http_page(openapi: dict[str, Any], asyncapi: dict[str, Any]) -> str:
    """Routes and sockets as a page."""
    lines = [
        "# HTTP and sockets\n",
        "All of this is served by the gateway; `/docs` of a running one lists the same. Errors are problem+json with",
        "one of the [error codes](errors.md).\n",
    ]
    for path, item in openapi["paths"].items():
        for method, route in item.items():
            about = " ".join((route.get("description") or route.get("summary") or "").split())
            lines.append(f"## {method.upper()} `{path}`\n\n{about}\n")
            for parameter in route.get("parameters", ()):
                text = " ".join(parameter.get("description", "").split())
                must = ", required" if parameter.get("required") else ""
                lines.append(f"- `{parameter['name']}` ({parameter['in']}{must}){': ' + text if text else ''}")
            if route.get("parameters"):
                lines.append("")
    for channel in asyncapi["channels"].values():
        lines.append(f"## WS `{channel['address']}`\n\n{channel['description']}\n")
        query = channel.get("bindings", {}).get("ws", {}).get("query", {}).get("properties", {})
        lines += [f"- `{name}` (query): {about['description']}" for name, about in query.items()]
        if query:
            lines.append("")
    return "\n".join(lines)


def main() -> int:
    try:
        documents = served()
    except NotServed as error:
        print(f"The product did not start, so its API could not be written down:\n{error}", file=sys.stderr)
        return 1
    for path, text in documents.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
