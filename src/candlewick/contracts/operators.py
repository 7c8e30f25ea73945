"""What an operator is: a pure function over the messages of one key, and what one message did.

No clock, no I/O, no randomness. A runtime (``ports.stream``) gives it the messages of one key in order, and commits
input positions, state and outputs together. State has two parts: ``hot`` is handed over with every message and kept
under about 2 kB a key; ``cold`` is entries by name that the operator asks for before it needs them and that cost
nothing until touched.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from candlewick.contracts.base import Message


class Output(msgspec.Struct, frozen=True):
    """One message to be produced, and the event time (ns) it speaks of."""

    topic: str
    message: Message
    ts_event: int


class DeadLetter(msgspec.Struct, frozen=True):
    """A message, or rows of it, that the operator refuses; goes to the input topic's dead letters."""

    code: str
    detail: str
    message: Message


class Step(msgspec.Struct, frozen=True):
    """What one message did. ``cold`` None deletes the entry. ``counters`` are added to the operator's metrics."""

    hot: bytes
    cold: Mapping[bytes, bytes | None]
    outputs: Sequence[Output]
    dead_letters: Sequence[DeadLetter] = ()
    counters: Mapping[str, int] = {}


class Operator(Protocol):
    """A pure, deterministic function over the messages of one key."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int:
        """Part of every output's id; a change of results is a new version."""
        ...

    @property
    def consumes(self) -> tuple[str, ...]: ...

    @property
    def produces(self) -> tuple[str, ...]: ...

    def cold_keys(self, hot: bytes | None, message: Message) -> Sequence[bytes]:
        """The cold entries that ``apply`` will look at for this message; mostly none."""
        ...

    def apply(self, hot: bytes | None, message: Message, cold: Mapping[bytes, bytes | None]) -> Step:
        """``cold`` holds every key that ``cold_keys`` named, None where there is no entry."""
        ...
