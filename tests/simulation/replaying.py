"""A process that plays recordings into a data dir and kills itself at the n-th time it reaches a named step."""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from candlewick.app import kernels
from candlewick.app.cli.replay import SERVICES, counted, finished
from candlewick.app.configuration import read
from candlewick.app.profiles.embedded import EmbeddedResources
from candlewick.app.runtime.host import running
from candlewick.app.session import replay
from candlewick.kernel import logging
from candlewick.kernel.system import SystemClock
from candlewick.ports.candles import CandleStore


async def fold_all_the_time(store: CandleStore) -> None:
    """What history does once a day, here so often that a kill finds it at work."""
    try:
        while True:
            await store.fold(SystemClock().now_ns())
            await asyncio.sleep(0.02)
    finally:
        await store.close()


async def main(data_dir: Path, step: str, nth: int, paths: list[Path]) -> None:
    logging.configure("error")
    session = replay(paths, "max")
    config = read(data_dir=data_dir, profile=session.profile(), environ={})
    seen: Counter[str] = Counter()
    count = itertools.count(1)

    def on_step(reached: str) -> None:
        seen[reached] += 1
        if reached == step and next(count) >= nth:
            os.kill(os.getpid(), signal.SIGKILL)

    resources = EmbeddedResources(data_dir, config.app, mode=session.mode, on_step=on_step)
    async with running(SERVICES, config, resources, member="replay") as host:
        folding = asyncio.ensure_future(fold_all_the_time(await resources.own("candles", "history", "folder")))
        await finished(host)
        folding.cancel()
        counts = counted(host)
    print(json.dumps({**counts, "steps": dict(seen)}))


if __name__ == "__main__":
    kernels.warm("binance")
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), [Path(p) for p in sys.argv[4:]]))
