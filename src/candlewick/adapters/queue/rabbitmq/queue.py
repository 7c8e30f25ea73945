"""``ports.queue`` on RabbitMQ: a quorum queue for each group of workers, another one for its dead letters."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelLockedResource

from candlewick.adapters.queue.rabbitmq.broker import SETTLE_S, Broker, translating
from candlewick.adapters.queue.rabbitmq.wire import dead_of
from candlewick.adapters.queue.rabbitmq.worker import Worker
from candlewick.kernel.clock import Clock
from candlewick.kernel.ids import IdSource
from candlewick.ports.queue import Command, Delivery

_LOOK_S: Final = 0.02


class RabbitQueue:
    """``send`` returns when most of the queue's nodes keep the command; ``ack`` when the server has taken it.

    A connection that breaks is made anew: workers go on by themselves, what they held goes to whoever asks first.
    ``timeout_s`` bounds the wait for the server in every call. A command that many workers die over counts a delivery
    each time, also for those that had not seen it yet. Dead letters stay until somebody empties their queue; a worker
    killed while it buries leaves two of one command.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        ids: IdSource,
        *,
        namespace: str = "candlewick",
        name: str = "candlewick",
        ack_timeout_s: float = 60.0,
        max_deliveries: int = 5,
        timeout_s: float = 10.0,
        settle_s: float = SETTLE_S,
        broker: Broker | None = None,
    ) -> None:
        """``name`` is what the server shows of this connection. ``settle_s`` is waited, once in its life, for a queue
        that is new, so that a server killed right then does not lose it. ``broker`` is another one's to share."""
        self._broker = broker or Broker(
            url, clock, namespace=namespace, name=name, timeout_s=timeout_s, settle_s=settle_s
        )
        self._clock = clock
        self._ids = ids
        self._ack_timeout_s = ack_timeout_s
        self.max_deliveries = max_deliveries
        self._timeout_s = timeout_s

    async def open(self) -> None:
        """Raises QueueUnavailable."""
        await self._broker.open()

    async def close(self) -> None:
        """What workers hold goes to others; waiting ones end."""
        await self._broker.close()

    async def send(self, queue: str, command: Command) -> None:
        """Raises QueueUnavailable: the command may be kept nevertheless."""
        await self._broker.send(queue, command)

    def consume(self, queue: str, *, prefetch: int = 10) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """A worker. Leaving the context gives back what it did not acknowledge. Raises QueueUnavailable."""
        return self._consume(queue, max(1, prefetch))

    async def dead(self, queue: str, limit: int = 100) -> list[tuple[Command, str]]:
        """Looked at and put back, by one process at a time. Raises QueueUnavailable."""
        doing = f"reading the dead letters of {queue!r}"
        async with translating(doing), asyncio.timeout(self._timeout_s):
            while True:
                channel = await self._broker.channel()
                try:
                    await self._broker.letters(channel, queue)
                    async with self._broker.alone_with(channel, queue):
                        return await self._look(channel, queue, limit)
                except ChannelLockedResource:
                    # Another process is looking.
                    await self._clock.sleep(_LOOK_S)
                except ChannelNotFoundEntity:
                    return []
                finally:
                    if not channel.is_closed:
                        await channel.close()

    async def _look(self, channel: AbstractChannel, queue: str, limit: int) -> list[tuple[Command, str]]:
        letters = await self._broker.letters(channel, queue)
        there = letters.declaration_result.message_count or 0
        wanted = min(limit, there)
        if wanted <= 0:
            return []
        found: list[AbstractIncomingMessage] = []
        complete = asyncio.Event()

        async def take(message: AbstractIncomingMessage) -> None:
            found.append(message)
            if len(found) >= wanted:
                complete.set()

        await channel.set_qos(wanted)
        tag = await letters.consume(take, consumer_tag=self._ids.new().hex)
        await complete.wait()
        await letters.cancel(tag)
        for message in found:
            await message.nack(requeue=True)
        # The next look must find them all again.
        while ((await self._broker.letters(channel, queue)).declaration_result.message_count or 0) < there:
            await self._clock.sleep(_LOOK_S)
        return [dead_of(message) for message in found]

    @asynccontextmanager
    async def _consume(self, queue: str, prefetch: int) -> AsyncIterator[AsyncIterator[Delivery]]:
        worker = Worker(
            self._broker,
            self._clock,
            queue,
            self._ids.new().hex,
            prefetch=prefetch,
            ack_timeout_s=self._ack_timeout_s,
            max_deliveries=self.max_deliveries,
        )
        try:
            await worker.join()
            yield worker
        finally:
            await worker.leave()
