"""Compile proto/ into src/candlewick/contracts/_gen.

Imports are rewritten so that the codec alone needs to see the generated modules. ``--out DIR`` writes elsewhere, which
is how the gate proves that what is committed is current.
"""

import argparse
import re
import shutil
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
OUT = ROOT / "src/candlewick/contracts/_gen"


def sources(root: Path = PROTO) -> list[str]:
    """Every schema under ``root``, relative to it, in a fixed order."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.proto"))


def compile_protos(*options: str, root: Path = PROTO) -> None:
    """Run protoc on every schema. Raises SystemExit with protoc's status."""
    builtin = files("grpc_tools") / "_proto"
    status = protoc.main(["protoc", f"-I{root}", f"-I{builtin}", *options, *sources(root)])
    if status:
        raise SystemExit(int(status))


def generate(out: Path) -> None:
    """Write the Python modules of every schema into ``out``, which is emptied first."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    compile_protos(f"--python_out={out}")
    for path in out.rglob("*_pb2.py"):
        text = path.read_text()
        inside = r"from candlewick.contracts._gen.candlewick."
        path.write_text(re.sub(r"^from candlewick\.", inside, text, flags=re.MULTILINE))
    for folder in (out, *(path for path in out.rglob("*") if path.is_dir())):
        (folder / "__init__.py").write_text("")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    generate(parser.parse_args().out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
