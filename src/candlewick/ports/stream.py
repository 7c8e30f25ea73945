"""What runs operators: embedded a loop on the SQLite log, in a cluster an engine with exactly-once state.

A runtime gives an operator (``contracts.operators``) the messages of one key in order, and commits input positions,
state and outputs together: exactly once over any kill.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from candlewick.contracts.operators import Operator
from candlewick.kernel.errors import CandlewickError, Fatal


class StreamStopped(Fatal):
    """The operator's thread has ended before what was waited for."""

    code = "STREAM_STOPPED"


class StreamStats(msgspec.Struct):
    """What a runtime has done since it started."""

    messages: int = 0
    outputs: int = 0
    commits: int = 0
    dead_letters: int = 0
    lag: int = 0
    refusal: str = ""
    """Why nothing can be committed now, with its code; empty while it can."""
    counters: dict[str, int] = msgspec.field(default_factory=dict)


class StreamRuntime(Protocol):
    """Runs one operator until told to stop; exactly once over any kill."""

    async def start(
        self,
        operator: Operator,
        *,
        on_failure: Callable[[BaseException], None],
        on_trouble: Callable[[CandlewickError], None] = ...,
    ) -> None:
        """``on_failure``: the operator has ended. ``on_trouble``: it goes on, past a damaged place in the log or when
        what refuses a commit has passed (told once)."""
        ...

    async def stop(self) -> None:
        """Commits what is in hand, then leaves."""
        ...

    async def caught_up(self) -> None:
        """Returns when every record visible at the call has been processed and committed, by whichever member. Raises
        StreamStopped when the operator has failed or was stopped."""
        ...

    def stats(self) -> StreamStats: ...
