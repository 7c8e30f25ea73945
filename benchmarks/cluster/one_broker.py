"""The live shape on one broker, begun for this alone: nobody waits for a replica.

Stop the three of ``./dev servers`` first: they would take from the same cores.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cluster._stream_live import live
from benchmarks.measure import Figure
from tools.servers import place
from tools.servers.kafka import Kafka

_SHIFT = 4_000


class One(Kafka):
    nodes = (1,)


def main() -> list[Figure]:
    with _alone() as brokers:
        return live(brokers, where="one broker, ")


@contextmanager
def _alone() -> Iterator[str]:
    home = Path(tempfile.mkdtemp(prefix="candlewick-one-broker-"))
    (home / "artefacts").symlink_to(place.HOME / "artefacts")
    broker = One(place.ports(_SHIFT), home)
    try:
        broker.start()
        yield broker.addresses()["kafka"]
    finally:
        broker.stop()
        shutil.rmtree(home, ignore_errors=True)
