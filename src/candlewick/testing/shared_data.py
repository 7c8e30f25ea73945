"""Where recorded third-party data lies, when this machine has it. It never travels with the code."""

import os
from pathlib import Path

REASON = "recorded data is not here: set CANDLEWICK_SHARED or put a folder `shared` beside the repository"


def shared_data(relative: str) -> Path | None:
    """A file or folder of the recorded data, or None where it is absent (then tests skip with REASON)."""
    configured = os.environ.get("CANDLEWICK_SHARED")
    root = Path(configured) if configured else Path(__file__).resolve().parents[4] / "shared"
    path = root / "data" / relative
    return path if path.exists() else None
