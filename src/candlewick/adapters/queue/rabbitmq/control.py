"""``ports.control`` on RabbitMQ: one exchange, and for each group a quorum queue that one listener at a time reads."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue

from candlewick.adapters.queue.rabbitmq.broker import SETTLE_S, Broker, translating
from candlewick.adapters.queue.rabbitmq.queue import RabbitQueue
from candlewick.adapters.queue.rabbitmq.wire import message_of
from candlewick.kernel.clock import Clock
from candlewick.kernel.ids import IdSource
from candlewick.ports.control import Notice
from candlewick.ports.queue import Delivery

# In order, and one after the other is never given out while an earlier one is open elsewhere.
_ONE_LISTENER: Final[dict[str, Any]] = {"x-single-active-consumer": True}
# What is published at once waits for its confirms at once.
_AT_ONCE: Final = 100


class RabbitControlPlane:
    """``publish`` returns when most nodes of every group's queue keep the notices.

    A connection that breaks is made anew: listeners go on by themselves. ``timeout_s`` bounds the wait for the server
    in every call; a notice is confirmed within it or ``publish`` raises. A listener that neither acknowledges nor
    rejects for ``ack_timeout_s`` loses its notices to the next one of its group.
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
        max_deliveries: int = 20,
        timeout_s: float = 10.0,
        settle_s: float = SETTLE_S,
    ) -> None:
        """``name`` is what the server shows of this connection. ``settle_s`` is waited, once in its life, for a queue
        that is new, so that a server killed right then does not lose it."""
        self._broker = _ControlBroker(
            url, clock, namespace=namespace, name=name, timeout_s=timeout_s, settle_s=settle_s
        )
        self._queues = RabbitQueue(
            url, clock, ids, broker=self._broker, ack_timeout_s=ack_timeout_s, max_deliveries=max_deliveries,
            timeout_s=timeout_s,
        )  # fmt: skip

    async def open(self) -> None:
        """Raises QueueUnavailable."""
        await self._broker.open()

    async def close(self) -> None:
        """What listeners hold goes to others; waiting ones end."""
        await self._broker.close()

    async def publish(self, notices: Sequence[Notice]) -> None:
        """Raises QueueUnavailable: some may be kept, so publish all of them again, under the same ids."""
        for start in range(0, len(notices), _AT_ONCE):
            await self._broker.tell(notices[start : start + _AT_ONCE])

    def listen(
        self, group: str, names: Sequence[str], *, prefetch: int = 10
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Leaving the context gives back what was not acknowledged. Raises QueueUnavailable."""
        return self._listen(group, names, prefetch)

    @asynccontextmanager
    async def _listen(self, group: str, names: Sequence[str], prefetch: int) -> AsyncIterator[AsyncIterator[Delivery]]:
        self._broker.bindings[_queue_of(group)] = tuple(names)
        async with self._queues.consume(_queue_of(group), prefetch=prefetch) as listener:
            yield listener

    async def dead(self, group: str, limit: int = 100) -> list[tuple[Notice, str]]:
        """Looked at and put back, by one process at a time. Raises QueueUnavailable."""
        return await self._queues.dead(_queue_of(group), limit)


class _ControlBroker(Broker):
    """Queues hang on the exchange; a group's names are bound whenever its queue is declared."""

    queue_arguments = _ONE_LISTENER

    def __init__(self, url: str, clock: Clock, *, namespace: str, name: str, timeout_s: float, settle_s: float) -> None:
        super().__init__(url, clock, namespace=namespace, name=name, timeout_s=timeout_s, settle_s=settle_s)
        self.bindings: dict[str, tuple[str, ...]] = {}
        self._exchange_name = f"{namespace}.control"

    async def declare(self, channel: AbstractChannel, queue: str) -> AbstractQueue:
        declared = await super().declare(channel, queue)
        exchange = await self._exchange(channel)
        for name in self.bindings.get(queue, ()):
            await declared.bind(exchange, routing_key=name, timeout=self.timeout_s)
        return declared

    async def tell(self, notices: Sequence[Notice]) -> None:
        doing = "publishing to the control plane"
        channel, _ = await self._patient(doing, self._sending_channel)
        async with translating(doing):
            exchange = await self._exchange(channel)
            # One task each, begun in their order: that is the order on the wire.
            publishing = [
                exchange.publish(message_of(notice), notice.name, mandatory=False, timeout=self.timeout_s)
                for notice in notices
            ]
            await asyncio.gather(*publishing)

    async def _exchange(self, channel: AbstractChannel) -> aio_pika.abc.AbstractExchange:
        return await channel.declare_exchange(
            self._exchange_name, aio_pika.ExchangeType.TOPIC, durable=True, timeout=self.timeout_s
        )


def _queue_of(group: str) -> str:
    return f"control.{group}"
