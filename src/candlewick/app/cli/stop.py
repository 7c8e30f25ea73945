"""End the 'candlewick up' that runs on a data dir, in order, as Ctrl-C does, and wait until it has ended."""

import argparse
import os
import signal
import time

from candlewick.app.cli.options import add_common, configuration
from candlewick.kernel.errors import Fatal

EXAMPLES = """examples:
  candlewick stop
  candlewick stop --data-dir ./data
  candlewick stop --within 5 --kill    do not wait for longer than 5 s
"""
_LOOK_S = 0.05


class StillRunning(Fatal):
    """The process has not ended in time."""

    code = "STILL_RUNNING"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser)
    parser.add_argument(
        "--within", type=float, default=60.0, metavar="SECONDS", help="how long to wait for its end (default 60)"
    )
    parser.add_argument(
        "--kill", action="store_true",
        help="kill what has not ended then; what was accepted is stored, the next start takes longer",
    )  # fmt: skip


def run(parsed: argparse.Namespace) -> int:
    from candlewick.app.control import door, place

    running = place.find(configuration(parsed, checked=False).data_dir)
    try:
        for _ in door.ask(running, "stop"):
            pass
    except (place.NotRunning, door.ControlRefused):
        # Its door may be gone while it ends, or was never opened: a signal says the same.
        if running.is_alive:
            os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + parsed.within
    while running.is_alive:
        if time.monotonic() > deadline:
            if not parsed.kill:
                raise StillRunning(
                    f"process {running.pid} has not ended within {parsed.within:g} s", hint="--kill ends it by force"
                )
            # Its processes end with it: they notice that nobody holds the other end of their line.
            os.kill(running.pid, signal.SIGKILL)
            deadline = time.monotonic() + parsed.within
        time.sleep(_LOOK_S)
    print(f"process {running.pid} has ended; the data is in {running.data_dir}")
    return 0
