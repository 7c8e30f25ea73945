"""Compile proto/ into src/candlewick/contracts/_gen, with imports rewritten so that the codec alone needs to see them."""

import re
import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "src/candlewick/contracts/_gen"


def main() -> int:
    protos = sorted(str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto").rglob("*.proto"))
    for old in OUT.rglob("*.py*"):
        old.unlink()
    code = protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"--python_out={OUT}", *protos])
    if code:
        return int(code)
    for path in OUT.rglob("*_pb2.py"):
        text = path.read_text()
        path.write_text(re.sub(r"^from candlewick\.", "from candlewick.contracts._gen.candlewick.", text, flags=re.M))
    for folder in {p.parent for p in OUT.rglob("*_pb2.py")} | {OUT, OUT / "candlewick"}:
        while folder != OUT.parent:
            (folder / "__init__.py").write_text("")
            folder = folder.parent
    return 0


if __name__ == "__main__":
    sys.exit(main())
