"""One process a service on this machine: started, looked after, stopped in order."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

from candlewick.kernel.errors import Fatal
from candlewick.kernel.logging import logger

_AGAIN_FIRST_S, _AGAIN_MOST_S = 0.5, 30.0
_WELL_S = 60.0
_LOOK_S = 0.1
_READY_WITHIN_S = 120.0
_STOP_WITHIN_S = 25.0


class ProcessFailed(Fatal):
    """A service's process ended before it was ready."""

    code = "PROCESS_FAILED"


class Child:
    """A command that is begun again whenever it ends by itself, later and later when it ends soon."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self.starts = 0
        self.process: asyncio.subprocess.Process | None = None
        self._command, self._env = tuple(command), dict(env)
        self._log = logger("supervisor")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when the process is there, ready or not."""
        await self._begin()
        self._task = asyncio.ensure_future(self._look_after())

    async def _begin(self) -> None:
        self.starts += 1
        # In a group of its own: Ctrl-C is ours to hand on, in order.
        self.process = await asyncio.create_subprocess_exec(
            *self._command, env={**os.environ, **self._env}, start_new_session=True
        )

    async def _look_after(self) -> None:
        delay = _AGAIN_FIRST_S
        while True:
            begun = time.monotonic()
            assert self.process is not None
            status = await self.process.wait()
            if time.monotonic() - begun > _WELL_S:
                delay = _AGAIN_FIRST_S
            self._log.error("a service's process ended", of=self.name, status=status, again_in_s=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _AGAIN_MOST_S)
            await self._begin()

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL when it does not heed; its exit status."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        process = self.process
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
            except TimeoutError:
                self._log.error("a service's process did not end and is killed", of=self.name)
                process.kill()
                await process.wait()
        return process.returncode or 0


class Supervisor:
    """Processes by service, in the order of their start."""

    def __init__(self, children: Mapping[str, Child], health: Mapping[str, tuple[str, int]]) -> None:
        """``health`` is the host and port where each answers ``GET /health``."""
        self.children = dict(children)
        self._health = dict(health)

    async def start(self) -> None:
        """All at once; returns when every one is ready. Raises ProcessFailed."""
        await asyncio.gather(*(child.start() for child in self.children.values()))
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                await asyncio.gather(*(self._ready(name) for name in self.children))
        except TimeoutError:
            raise ProcessFailed(f"not every service was ready within {_READY_WITHIN_S:g} s") from None

    async def _ready(self, name: str) -> None:
        child = self.children[name]
        while not await _answers(*self._health[name]):
            if child.starts > 1:
                raise ProcessFailed(f"service {name} ended before it was ready", hint="Its own words are above")
            await asyncio.sleep(_LOOK_S)

    async def stop(self) -> dict[str, int]:
        """In reverse, one after the other; exit statuses by service."""
        return {name: await self.children[name].stop() for name in reversed(self.children)}


def command(service: str, arguments: Sequence[str]) -> list[str]:
    """How a service's process is begun."""
    return [sys.executable, "-m", "candlewick.app.cli.main", "run", service, *arguments]


async def _answers(host: str, port: int) -> bool:
    """Whether ``GET /health`` answers 200."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        writer.write(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        line = await asyncio.wait_for(reader.readline(), 5.0)
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
    return b" 200 " in line
