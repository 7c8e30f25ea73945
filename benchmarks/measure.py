"""What a benchmark module hands back, and how a figure is taken.

A module of a suite has ``main() -> list[Figure]``. Absolute figures of a shared machine are weather; what is held to a
budget is a ratio to a peer or to a floor measured in the same run.
"""

import statistics
import time
from collections.abc import Callable

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One measured number. ``better`` says which way is good: higher or lower. ``value`` is None where this machine
    cannot measure it; ``note`` then says why.

    ``ratio`` compares with ``peer``, above 1 is in our favour; ``samples`` are the runs the median was taken from.
    """

    name: str
    value: float | None
    unit: str
    better: str = "higher"
    samples: tuple[float, ...] = ()
    peer: str = ""
    ratio: float | None = None
    note: str = ""


def seconds(work: Callable[[], object], *, runs: int = 5, cpu: bool = False) -> tuple[float, ...]:
    """Wall (or this process's CPU) seconds of ``work``, ``runs`` times, after one run that does not count."""
    clock = time.process_time if cpu else time.perf_counter
    work()
    out = []
    for _ in range(runs):
        begin = clock()
        work()
        out.append(clock() - begin)
    return tuple(out)


def median(samples: tuple[float, ...]) -> float:
    """The middle of the samples."""
    return statistics.median(samples)
