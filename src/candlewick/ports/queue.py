"""Commands: asked of one consumer, done once it says so [15].

A command sent is kept until acknowledged. It is delivered to one worker of its group at a time and delivered again
when that worker fails, closes or does not acknowledge in time; after ``max_deliveries`` it goes to the dead letters
with the reason. Order is kept per queue only among commands not redelivered. ``send`` returns once the command is kept.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from candlewick.kernel.errors import Retryable


class QueueUnavailable(Retryable):
    """The queue's server cannot be reached or refuses to work now. What was being sent may have been kept: send it
    again under the same id."""

    code = "QUEUE_UNAVAILABLE"


class Command(msgspec.Struct, frozen=True):
    id: str
    name: str
    body: bytes
    headers: Mapping[str, str] = {}
    deliveries: int = 1


class Delivery(Protocol):
    @property
    def command(self) -> Command: ...

    async def ack(self) -> None: ...

    async def reject(self, reason: str, *, requeue: bool) -> None: ...


class CommandQueue(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def send(self, queue: str, command: Command) -> None: ...

    def consume(self, queue: str, *, prefetch: int = 10) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]: ...

    async def dead(self, queue: str, limit: int = 100) -> list[tuple[Command, str]]:
        """Dead letters with their reasons, oldest first."""
        ...
