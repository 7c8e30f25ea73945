"""``./dev docs``: the documentation as a site in .dev/site, without a network; warnings are errors."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(ROOT / ".dev/site")]
    print("+ mkdocs build --strict --site-dir .dev/site", flush=True)
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=False).returncode
    if status == 0:
        print(f"The site is in {ROOT / '.dev/site/index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
