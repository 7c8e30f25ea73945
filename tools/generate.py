"""``./dev gen``: everything that is generated from something else, in the order in which one needs the other.

Protobuf modules from proto/; the API's documents from a running product, and the page's types from them; the reference
in docs/ and the tables in the services' READMEs; what deploy/ holds of services, alerts and metrics.
``--lock`` resolves requirements/ anew instead.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from tools import gen_proto, lock

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev gen", description=__doc__)
    parser.add_argument("--lock", action="store_true", help="resolve requirements/*.txt from pyproject.toml")
    parser.add_argument("--upgrade", action="store_true", help="with --lock: the newest of everything that fits")
    args = parser.parse_args()
    if args.lock:
        return lock.main(upgrade=args.upgrade)
    print("+ protobuf modules", flush=True)
    gen_proto.generate(gen_proto.OUT)
    # processes of their own: the protobuf modules of this one may be the old ones
    steps = [[sys.executable, "-m", name] for name in ("tools.openapi", "tools.reference", "tools.deploy.pages")]
    if (ROOT / "web/node_modules").is_dir():
        steps.insert(1, ["npm", "--prefix", "web", "run", "--silent", "gen"])
    for step in steps:
        print("+", " ".join(step).replace(sys.executable, "python"), flush=True)
        if status := subprocess.run(step, cwd=ROOT, check=False).returncode:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
