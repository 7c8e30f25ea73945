"""``./dev gen``: everything that is generated from something else, in the order in which one needs the other.

Protobuf modules from proto/; the OpenAPI document of the served application and the page's types from it; the reference
in docs/ and the tables in the services' READMEs. ``--lock`` resolves requirements/ anew instead.
"""

import argparse
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

from tools import gen_proto, lock

ROOT = Path(__file__).resolve().parent.parent


def openapi() -> bool:
    """Write web/openapi.json from the application; False when this tree serves none."""
    if importlib.util.find_spec("candlewick.app.openapi") is None:
        return False
    document: bytes = importlib.import_module("candlewick.app.openapi").document()
    (ROOT / "web/openapi.json").write_bytes(document)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev gen", description=__doc__)
    parser.add_argument("--lock", action="store_true", help="resolve requirements/*.txt from pyproject.toml")
    parser.add_argument("--upgrade", action="store_true", help="with --lock: the newest of everything that fits")
    args = parser.parse_args()
    if args.lock:
        return lock.main(upgrade=args.upgrade)
    print("+ protobuf modules")
    gen_proto.generate(gen_proto.OUT)
    print("+ web/openapi.json", "" if openapi() else "(this tree serves no OpenAPI document)")
    if (ROOT / "web/node_modules").is_dir():
        print("+ npm run gen", flush=True)
        subprocess.run(["npm", "run", "--silent", "gen"], cwd=ROOT / "web", check=True)
    print("+ docs/reference", flush=True)
    # a process of its own: the protobuf modules of this one may be the old ones
    return subprocess.run([sys.executable, "-m", "tools.reference"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
