"""Where the servers live and on which ports: one folder, one table, loopback only.

The ports lie below 32768, where Linux begins to lend ports to outgoing connections, so that a test's own connection
never sits on one of them. A second checkout on the same machine moves all of them with CANDLEWICK_SERVERS_SHIFT.
"""

import json
import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = ROOT / ".dev/servers"
HOST: Final = "127.0.0.1"
SHIFT_VARIABLE: Final = "CANDLEWICK_SERVERS_SHIFT"
LARGEST_SHIFT: Final = 10_000

#: Every port that any server opens, by the process that opens it and what it is for.
PORTS: Final[dict[str, int]] = {
    "postgres": 15432,
    "postgres-replica": 15433,
    "redis": 16379,
    "kafka-1": 19092,
    "kafka-1-controller": 19093,
    "kafka-2": 19192,
    "kafka-2-controller": 19193,
    "kafka-3": 19292,
    "kafka-3-controller": 19293,
    "rabbitmq": 18672,
    "rabbitmq-distribution": 18673,
    "epmd": 18369,
    "s3": 19070,
    "toxiproxy": 18474,
    "prometheus": 19090,
    "registry": 18081,
    "registry-management": 18082,
}

#: Free ports for the links that tests lay through toxiproxy, first and last.
LINKS: Final = (18500, 18599)


class Trouble(Exception):
    """What the person at the keyboard has to know and do; printed without a stack trace."""


def _wanted_shift() -> int | None:
    text = os.environ.get(SHIFT_VARIABLE, "")
    if not text:
        return None
    if not text.isdecimal() or int(text) > LARGEST_SHIFT:
        raise Trouble(f"{SHIFT_VARIABLE} is a number from 0 to {LARGEST_SHIFT}, was {text!r}")
    return int(text)


def shift(home: Path = HOME, *, running: bool = False) -> int:
    """By how much all ports are moved: what is running decides, else the environment, else the last time's."""
    try:
        last = int(json.loads((home / "shift.json").read_text()))
    except (OSError, ValueError, TypeError):
        last = 0
    wanted = _wanted_shift()
    if running and wanted not in (None, last):
        raise Trouble(
            f"servers of this checkout already run on ports moved by {last}; ./dev servers stop first, or leave "
            f"{SHIFT_VARIABLE} alone, was {wanted!r}"
        )
    return last if wanted is None else wanted


def keep_shift(by: int, home: Path = HOME) -> None:
    """Remember it, so that ``stop`` and ``status`` look at the same ports."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "shift.json").write_text(f"{by}\n")


def ports(by: int = 0) -> dict[str, int]:
    """The table, moved."""
    return {name: port + by for name, port in PORTS.items()}
