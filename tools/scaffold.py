"""``./dev new service|indicator NAME``: a working, tested unit in the shape of this house, to be changed from there.

A service keeps the newest close of every symbol: a topic it consumes, a table, a use case, a rule, a route, settings,
an error and a test, each in its place. An indicator is momentum: parameters, look-back, kernel and outputs in one file,
which the registry and the test suites find by themselves.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = Path(__file__).resolve().parent / "templates"
NAME = re.compile(r"[a-z][a-z0-9]*")
FIRST_FREE_PLACE = 19  # 0 to 18 are the services of the design


class Refused(Exception):
    """What was asked for cannot be made; the message says why."""


def _fill(template: Path, values: dict[str, str], target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(Template(template.read_text()).substitute(values))
    return target


def _free_place() -> int:
    from candlewick.app import registry

    taken = {registry.load(name).place for name in registry.SERVICES if _stands(name)}
    return max({FIRST_FREE_PLACE - 1} | taken) + 1


def _stands(name: str) -> bool:
    return importlib.util.find_spec(f"candlewick.services.{name}.service") is not None


def register(root: Path, name: str) -> Path:
    """Put a service into the registry, before the gateway, which starts last. The one file a new service edits."""
    path = root / "src/candlewick/app/registry.py"
    text = path.read_text()
    found = re.search(r"^SERVICES: tuple\[str, \.\.\.\] = \((.*?)\)$", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise Refused(f"{path} holds no list of SERVICES that could be added to")
    names = re.findall(r'"(\w+)"', found[1])
    at = names.index("gateway") if "gateway" in names else len(names)
    listed = ", ".join(f'"{one}"' for one in [*names[:at], name, *names[at:]])
    path.write_text(text.replace(found[0], f"SERVICES: tuple[str, ...] = ({listed})"))
    return path


def new_service(root: Path, name: str, place: int) -> list[Path]:
    """Write a service under ``root`` and register it; the files written, the edited one last. Raises Refused."""
    folder = root / "src/candlewick/services" / name
    if (folder / "service.py").exists():
        raise Refused(f"a service of this name is there already, was {name!r}")
    values = {"name": name, "Name": name.capitalize(), "NAME": name.upper(), "place": str(place)}
    written = []
    for suite, target in (("service", folder), ("service_tests", root / "tests/unit/services" / name)):
        source = TEMPLATES / suite
        files = sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        written += [_fill(path, values, target / path.relative_to(source)) for path in files]
    return [*written, register(root, name)]


def new_indicator(root: Path, name: str) -> list[Path]:
    """Write an indicator under ``root``; no file is edited. Raises Refused."""
    target = root / "src/candlewick/quant/indicators/library" / f"{name}.py"
    if target.exists():
        raise Refused(f"an indicator of this name is there already, was {name!r}")
    values = {"name": name, "Title": name.replace("_", " ").capitalize()}
    return [_fill(TEMPLATES / "indicator/indicator.py", values, target)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev new", description=__doc__)
    parser.add_argument("kind", choices=("service", "indicator"))
    parser.add_argument("name", help="one lower-case noun")
    parser.add_argument("--place", type=int, help="added to the base port when the service has a port of its own")
    args = parser.parse_args()
    if not NAME.fullmatch(args.name):
        parser.error(f"a name is one lower-case word, was {args.name!r}")
    try:
        if args.kind == "service":
            written = new_service(ROOT, args.name, _free_place() if args.place is None else args.place)
        else:
            written = new_indicator(ROOT, args.name)
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    python = [str(path) for path in written if path.suffix == ".py"]
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", *python], cwd=ROOT, check=True)
    for path in written:
        print(path.relative_to(ROOT))
    print("./dev gen writes it into the reference; ./dev check proves it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
