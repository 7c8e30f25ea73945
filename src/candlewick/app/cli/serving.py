"""What ``up`` and ``run`` have in common: an event loop, signals, servers, one orderly end."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from candlewick.kernel.system import suit_an_event_loop


def run_until_signal(main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    """Run ``main`` on a uvloop; its event is set by the first SIGINT or SIGTERM, a second one ends at once."""
    import uvloop

    async def guarded() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def ask() -> None:
            if stop.is_set():
                for task in asyncio.all_tasks():
                    task.cancel()
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ask)
        return await main(stop)

    suit_an_event_loop()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(guarded())
        except asyncio.CancelledError:
            return 130
