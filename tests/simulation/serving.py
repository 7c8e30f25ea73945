"""``candlewick run NAME ...`` in a process that kills itself at the n-th time it reaches a named step."""

import argparse
import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.app.cli import run
from candlewick.app.cli.serving import run_until_signal
from tests.simulation.replaying import fold_all_the_time


async def main(parsed: argparse.Namespace, step: str, nth: int, stop: asyncio.Event) -> int:
    count = itertools.count(1)

    def on_step(reached: str) -> None:
        if reached == step and next(count) >= nth:
            os.kill(os.getpid(), signal.SIGKILL)

    folding = None
    if parsed.services == ["history"]:
        store = SqliteCandleStore(parsed.data_dir / "history" / "candles.db", on_step=on_step)
        await store.open()
        folding = asyncio.ensure_future(fold_all_the_time(store))
    status = await run.serve(parsed, stop, on_step=on_step)
    if folding is not None:
        folding.cancel()
        await asyncio.gather(folding, return_exceptions=True)
    return status


if __name__ == "__main__":
    step, nth = sys.argv[1], int(sys.argv[2])
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    arguments = parser.parse_args(sys.argv[3:])
    arguments.data_dir = Path(arguments.data_dir)
    sys.exit(run_until_signal(lambda stop: main(arguments, step, nth, stop)))
