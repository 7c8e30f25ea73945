"""The control plane: few, small facts that every interested group of processes gets, in order.

A notice published is kept for every group that listens to its name, in the order of publishing, until acknowledged. Of
a group's listeners one at a time is given notices; when it leaves or dies, the next one goes on with what was not
acknowledged. So a notice may come more than once, under the same id, and never before one that was published earlier
and is still open. What a group was not there to hear it does not get: a new group reads the topic that is mirrored.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from candlewick.ports.queue import Command, Delivery

Notice = Command
"""``name`` says what it is about, such as ``symbol.added``; groups choose by it."""


class ControlPlane(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, notices: Sequence[Notice]) -> None:
        """Returns once every group that listens keeps them all. Raises QueueUnavailable: some may be kept."""
        ...

    def listen(
        self, group: str, names: Sequence[str], *, prefetch: int = 10
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """The group hears these names from the first time on that this is entered; one that leaves out a name it
        heard before must expect it still. Raises QueueUnavailable."""
        ...

    async def dead(self, group: str, limit: int = 100) -> list[tuple[Notice, str]]:
        """What the group could not take, with the reason, oldest first."""
        ...
