"""Ways to begin a process of a service: as a new program here, or by the fork server, which has it all loaded."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

PIECE: Final = 1 << 16


class Begun(Protocol):
    """A process that was begun. What it prints is there to be read until it ends."""

    pid: int

    async def read(self) -> bytes:
        """Some more of what it printed; b'' when nobody prints there any more."""
        ...

    async def wait(self) -> int:
        """Its exit status once it has ended; the signal that ended it as a negative number."""
        ...

    def send_signal(self, number: int) -> None:
        """Nothing when it has ended."""
        ...

    def close(self) -> None:
        """Read no more."""
        ...


#: Called with a command line, environment over this process's own, and the descriptor of a handover that the process
#: inherits: its number there goes to the end of the command line, behind ``--handover``. Raises OSError.
Launch = Callable[[Sequence[str], Mapping[str, str], int], Awaitable[Begun]]


async def execute(command: Sequence[str], env: Mapping[str, str], handover: int) -> Begun:
    """A ``Launch``: a new program, as any."""
    return _Executed(
        await asyncio.create_subprocess_exec(
            *command,
            "--handover",
            str(handover),
            env={**os.environ, **env},
            # In a group of its own: Ctrl-C is ours to hand on, in order.
            start_new_session=True,
            pass_fds=(handover,),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    )


class _Executed:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self.pid = process, process.pid

    async def read(self) -> bytes:
        assert self._process.stdout is not None
        return await self._process.stdout.read(PIECE)

    async def wait(self) -> int:
        return await self._process.wait()

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def close(self) -> None:
        """asyncio closes its end with the process."""
