"""Where the real servers are that a test may talk to, and why there is none if there is none.

A variable of the environment names any server by hand and is believed as it stands. Else the servers that
``./dev servers start`` runs from this checkout are taken, after a look whether they answer: they write
``.dev/servers/addresses.json``. A test without its server skips with the reason given here.
"""

import json
import os
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

#: Every server a test may ask for, and the variable that names one by hand. Addresses are URLs, with the user and
#: password where there is one; ``kafka`` is a list of ``host:port`` divided by commas; in ``s3`` user and password are
#: the access key and the secret, and the path is a bucket that is there; ``registry`` is the root of the Confluent API.
VARIABLES: Final[dict[str, str]] = {
    "postgres": "CANDLEWICK_TEST_POSTGRES_URL",
    "postgres_replica": "CANDLEWICK_TEST_POSTGRES_REPLICA_URL",
    "timescale": "CANDLEWICK_TEST_TIMESCALE_URL",
    "redis": "CANDLEWICK_TEST_REDIS_URL",
    "kafka": "CANDLEWICK_TEST_KAFKA",
    "rabbitmq": "CANDLEWICK_TEST_RABBITMQ_URL",
    "s3": "CANDLEWICK_TEST_S3_URL",
    "toxiproxy": "CANDLEWICK_TEST_TOXIPROXY_URL",
    "prometheus": "CANDLEWICK_TEST_PROMETHEUS_URL",
    "registry": "CANDLEWICK_TEST_REGISTRY_URL",
}

#: Names another file than the checkout's.
FILE_VARIABLE: Final = "CANDLEWICK_TEST_SERVERS"
#: What ``./dev servers start`` cannot bring up: named by hand, or run under Docker (deploy/compose/addresses.json).
BY_HAND: Final = frozenset({"timescale"})
_LOOK_SECONDS = 1.0


def addresses_file() -> Path:
    """The file that ``./dev servers`` keeps: ``{"addresses": {name: address}, "pids": {process: pid}}``."""
    named = os.environ.get(FILE_VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parents[3] / ".dev/servers/addresses.json"


def address(name: str) -> str | None:
    """The address of a server of VARIABLES, or None; then ``why_not`` tells why.

    Raises:
        KeyError: there is no server of that name.
    """
    return _look(name)[0]


def why_not(name: str) -> str:
    """Why ``address`` gives None, as a sentence to skip with; empty when it gives one."""
    return _look(name)[1]


def _look(name: str) -> tuple[str | None, str]:
    variable = VARIABLES[name]
    if by_hand := os.environ.get(variable):
        return by_hand, ""
    remedy = f"name one in {variable}"
    if name not in BY_HAND:
        remedy = f"./dev servers start {name.partition('_')[0]}, or {remedy}"
    file = addresses_file()
    try:
        found = json.loads(file.read_text())["addresses"].get(name)
    except FileNotFoundError:
        found = None
    except (ValueError, KeyError, AttributeError):
        return None, f"{file} cannot be read; {remedy}"
    if not isinstance(found, str):
        return None, f"no {name} server runs: {remedy}"
    if not _answers(found):
        return None, f"the {name} server of {file} does not answer: {remedy}"
    return found, ""


def _answers(where: str) -> bool:
    first = where.partition(",")[0]
    parts = urlsplit(first if "//" in first else f"//{first}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_LOOK_SECONDS):
            return True
    except OSError:
        return False
