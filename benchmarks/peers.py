"""Peers that a run is compared with: installed by ``./dev bench`` in a folder of their own, behind our own packages."""

import importlib.util
import os
import sys

FOLDER = "CANDLEWICK_PEERS"
MISSING = "is not installed here: ./dev bench installs it where a package index is reachable"


def has(name: str) -> bool:
    """Whether a peer can be imported. Its folder goes last on the path, so no package of ours is replaced."""
    folder = os.environ.get(FOLDER)
    if folder and folder not in sys.path:
        sys.path.append(folder)
    return importlib.util.find_spec(name) is not None
