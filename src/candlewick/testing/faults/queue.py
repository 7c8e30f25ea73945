"""Command queues that break one law each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import msgspec

from candlewick.kernel.errors import Fenced
from candlewick.ports.queue import Command, CommandQueue, Delivery
from candlewick.testing.conformance.harness import Fault


class _Around:
    """Everything as the sound queue does it; ``delivered`` may change each delivery."""

    def __init__(self, sound: CommandQueue) -> None:
        self.sound = sound

    async def open(self) -> None:
        await self.sound.open()

    async def close(self) -> None:
        await self.sound.close()

    async def send(self, queue: str, command: Command) -> None:
        await self.sound.send(queue, command)

    def consume(self, queue: str, *, prefetch: int = 10) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self._consume(queue, prefetch)

    async def dead(self, queue: str, limit: int = 100) -> list[tuple[Command, str]]:
        return await self.sound.dead(queue, limit)

    async def delivered(self, queue: str, delivery: Delivery) -> Delivery | None:
        return delivery

    @asynccontextmanager
    async def _consume(self, queue: str, prefetch: int) -> AsyncIterator[AsyncIterator[Delivery]]:
        async with self.sound.consume(queue, prefetch=prefetch) as worker:
            yield self._changed(queue, worker)

    async def _changed(self, queue: str, worker: AsyncIterator[Delivery]) -> AsyncIterator[Delivery]:
        async for delivery in worker:
            changed = await self.delivered(queue, delivery)
            if changed is not None:
                yield changed


class _Changed:
    def __init__(self, sound: Delivery) -> None:
        self.sound = sound

    @property
    def command(self) -> Command:
        return self.sound.command

    async def ack(self) -> None:
        await self.sound.ack()

    async def reject(self, reason: str, *, requeue: bool) -> None:
        await self.sound.reject(reason, requeue=requeue)


class KeepsInMemory(_Around):
    """Says kept while it only remembers the newest."""

    def __init__(self, sound: CommandQueue) -> None:
        super().__init__(sound)
        self._waiting: tuple[str, Command] | None = None

    async def send(self, queue: str, command: Command) -> None:
        if self._waiting is not None:
            await self.sound.send(*self._waiting)
        self._waiting = (queue, command)


class ForgetsAcknowledgements(_Around):
    """An acknowledgement is not written down."""

    class _Deaf(_Changed):
        async def ack(self) -> None:
            return

    def consume(self, queue: str, *, prefetch: int = 10) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return super().consume(queue, prefetch=100)

    async def delivered(self, queue: str, delivery: Delivery) -> Delivery | None:
        return self._Deaf(delivery)


class DeliversTwice(_Around):
    """Two workers get the same command."""

    async def send(self, queue: str, command: Command) -> None:
        await self.sound.send(queue, command)
        await self.sound.send(queue, command)


class DropsOnLeaving(_Around):
    """A command delivered is a command done."""

    class _Settled(_Changed):
        async def ack(self) -> None:
            return

        async def reject(self, reason: str, *, requeue: bool) -> None:
            return

    async def delivered(self, queue: str, delivery: Delivery) -> Delivery | None:
        await delivery.ack()
        return self._Settled(delivery)


class LateAckTakes(_Around):
    """Whoever acknowledges ends the command, however late."""

    class _Mighty(_Changed):
        lost = False

        async def ack(self) -> None:
            try:
                await self.sound.ack()
            except Fenced:
                LateAckTakes._Mighty.lost = True

        async def reject(self, reason: str, *, requeue: bool) -> None:
            if LateAckTakes._Mighty.lost:
                await self.sound.ack()
            else:
                await self.sound.reject(reason, requeue=requeue)

    async def delivered(self, queue: str, delivery: Delivery) -> Delivery | None:
        return self._Mighty(delivery)


class CountsFromOneAlways(_Around):
    """Every delivery is the first."""

    class _First(_Changed):
        @property
        def command(self) -> Command:
            return msgspec.structs.replace(self.sound.command, deliveries=1)

    async def delivered(self, queue: str, delivery: Delivery) -> Delivery | None:
        return self._First(delivery)


class NeverGivesUp(_Around):
    """A rejected command is sent anew, for ever."""

    class _Anew(_Changed):
        def __init__(self, sound: Delivery, queue: CommandQueue, name: str) -> None:
            super().__init__(sound)
            self._queue, self._name = queue, name

        async def reject(self, reason: str, *, requeue: bool) -> None:
            await self._queue.send(self._name, self.sound.command)
            await self.sound.ack()

    async def delivered(self, queue: str, delivery: Delivery) -> Delivery | None:
        return self._Anew(delivery, self.sound, queue)


class ForgetsReasons(_Around):
    """Dead letters have no reason."""

    async def dead(self, queue: str, limit: int = 100) -> list[tuple[Command, str]]:
        return [(command, "") for command, _ in await self.sound.dead(queue, limit)]


class DropsRejected(_Around):
    """What is rejected for good is gone."""

    class _Dropping(_Changed):
        async def reject(self, reason: str, *, requeue: bool) -> None:
            if requeue:
                await self.sound.reject(reason, requeue=True)
            else:
                await self.sound.ack()

    async def delivered(self, queue: str, delivery: Delivery) -> Delivery | None:
        return self._Dropping(delivery)


class SwapsNeighbours(_Around):
    """Every second command overtakes."""

    def __init__(self, sound: CommandQueue) -> None:
        super().__init__(sound)
        self._held: dict[str, Command] = {}

    async def send(self, queue: str, command: Command) -> None:
        held = self._held.pop(queue, None)
        if held is None and int(command.body) % 7 == 0:
            self._held[queue] = command
            return
        await self.sound.send(queue, command)
        if held is not None:
            await self.sound.send(queue, held)


class IgnoresPrefetch(_Around):
    """Hands out whatever there is."""

    def consume(self, queue: str, *, prefetch: int = 10) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return super().consume(queue, prefetch=100)


class LosesHeaders(_Around):
    """Headers stay behind."""

    async def send(self, queue: str, command: Command) -> None:
        await self.sound.send(queue, msgspec.structs.replace(command, headers={}))


class NewestDeadFirst(_Around):
    """Dead letters backwards."""

    async def dead(self, queue: str, limit: int = 100) -> list[tuple[Command, str]]:
        return (await self.sound.dead(queue, limit))[::-1]


class SleepsOn(_Around):
    """Looks once, and then never again."""

    async def _changed(self, queue: str, worker: AsyncIterator[Delivery]) -> AsyncIterator[Delivery]:
        pending: Any = None
        with suppress(TimeoutError):
            pending = await asyncio.wait_for(anext(worker), 0.01)
        if pending is not None:
            yield pending
        await asyncio.sleep(60)


FAULTS = [
    Fault("test_01_a_command_is_kept_until_acknowledged", "lost command", KeepsInMemory),
    Fault("test_01_a_command_is_kept_until_acknowledged", "lost acknowledgement", ForgetsAcknowledgements),
    Fault("test_02_one_worker_at_a_time", "double delivery", DeliversTwice),
    Fault("test_03_who_leaves_gives_back", "dropped on leaving", DropsOnLeaving),
    Fault("test_04_what_is_not_acknowledged_in_time", "late acknowledgement takes", LateAckTakes),
    Fault("test_05_rejected_commands_come_again", "deliveries not counted", CountsFromOneAlways),
    Fault("test_06_too_many_deliveries", "reason forgotten", ForgetsReasons),
    Fault("test_06_too_many_deliveries", "never gives up", NeverGivesUp),
    Fault("test_07_rejected_for_good", "rejected dropped", DropsRejected),
    Fault("test_08_order", "reordered", SwapsNeighbours),
    Fault("test_09_prefetch", "prefetch ignored", IgnoresPrefetch),
    Fault("test_10_a_command_arrives_as_sent", "headers lost", LosesHeaders),
    Fault("test_11_dead_letters_in_order", "newest first", NewestDeadFirst),
    Fault("test_12_a_waiting_worker_is_woken", "sleeps on", SleepsOn),
]
