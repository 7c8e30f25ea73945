"""Compile the numeric kernels into their cache, once per machine and version [18]."""

import importlib
import pkgutil
import sys

import candlewick.quant
from candlewick.quant.compiled import warm_all


def main() -> int:
    for module in pkgutil.walk_packages(candlewick.quant.__path__, "candlewick.quant."):
        importlib.import_module(module.name)
    print(f"{warm_all()} kernels are ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
