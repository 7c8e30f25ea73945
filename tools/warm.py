"""Compile the numeric kernels into their cache, once per machine and version [18].

Kernels declare themselves when their module is imported; the modules are those that name ``quant.compiled``.
"""

import importlib
import sys
from pathlib import Path

from candlewick.quant.compiled import warm_all

SOURCE = Path(__file__).resolve().parent.parent / "src"


def modules() -> list[str]:
    """Every module that declares a kernel."""
    found = (path for path in SOURCE.rglob("*.py") if "candlewick.quant.compiled import" in path.read_text())
    return sorted(".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in found)


def main() -> int:
    for module in modules():
        importlib.import_module(module.removesuffix(".__init__"))
    print(f"{warm_all()} kernels are ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
