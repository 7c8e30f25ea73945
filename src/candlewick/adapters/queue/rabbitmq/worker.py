"""One worker of a queue: a channel of its own, renewed when it breaks.

The server gives out up to ``prefetch`` commands ahead. So that a worker that hangs, or that has just sent a command
back, gets nothing more while it does not ask, its consumer is cancelled then and begun again, under the same tag, by
its next question: the server counts what a tag still holds, so ``prefetch`` holds.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from candlewick.adapters.queue.rabbitmq.broker import Broker, translating
from candlewick.adapters.queue.rabbitmq.wire import UNSETTLED, command_of
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import Fenced
from candlewick.ports.queue import Command, Delivery, QueueUnavailable

_LEFT: Final = "its worker closed without acknowledging it"
_FIRST_WAIT_S: Final = 0.05
_LAST_WAIT_S: Final = 2.0


class Worker:
    """Its commands; waiting for the next one may be cancelled without losing any."""

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        queue: str,
        tag: str,
        *,
        prefetch: int,
        ack_timeout_s: float,
        max_deliveries: int,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._name = queue
        self._tag = tag
        self._prefetch = prefetch
        self._ack_timeout_ns = int(ack_timeout_s * NS_PER_SECOND)
        self._max_deliveries = max_deliveries
        self._channel: AbstractChannel | None = None
        self._queue: AbstractQueue | None = None
        self._is_consuming = False
        self._is_leaving = False
        self._asking = 0
        self._turn = asyncio.Lock()
        # Oldest first: neither acknowledged nor given back, whether the worker has seen them or not.
        self._open: deque[_Delivery] = deque()
        self._ready: deque[_Delivery] = deque()
        self._changed = asyncio.Event()
        self._syncing: asyncio.Task[None] | None = None
        self._next_sync: asyncio.Task[None] | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def join(self) -> None:
        """Raises QueueUnavailable."""
        await self._resume()
        self._spawn(self._watch())

    async def leave(self) -> None:
        """Give back what was not acknowledged."""
        self._is_leaving = True
        self._tell()
        work = list(self._work)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        with suppress(QueueUnavailable):
            await self._pause()
            for delivery in list(self._open):
                await self._give_back(delivery, _LEFT)
            await self._sync()
        channel, self._channel = self._channel, None
        if channel is not None:
            await _close(channel)

    def __aiter__(self) -> "Worker":
        return self

    async def __anext__(self) -> Delivery:
        self._asking += 1
        try:
            while True:
                while self._ready:
                    delivery = self._ready.popleft()
                    if delivery.is_open:
                        return delivery
                if self._is_leaving or self._broker.is_closed:
                    raise StopAsyncIteration
                changed = self._changed
                if not self._is_consuming:
                    # Finished even if this caller gives up: half a beginning would be worse.
                    self._spawn(self._resume_in_time())
                await changed.wait()
        finally:
            self._asking -= 1

    async def acknowledge(self, delivery: "_Delivery") -> None:
        """Raises Fenced, QueueUnavailable (it may come again then)."""
        self._settle(delivery)
        async with translating("acknowledging"):
            await delivery.message.ack()
        await self._sync()

    async def reject(self, delivery: "_Delivery", reason: str, *, requeue: bool) -> None:
        """Raises Fenced, QueueUnavailable (it may come again then)."""
        if not delivery.is_open:
            raise _fenced(delivery)
        if requeue and delivery.command.deliveries < self._max_deliveries:
            if not self._asking:
                await self._pause()
            self._settle(delivery)
            async with translating("sending a command back"):
                await delivery.message.nack(requeue=True)
        else:
            self._settle(delivery)
            await self._bury(delivery, reason)
        await self._sync()

    async def _bury(self, delivery: "_Delivery", reason: str) -> None:
        # In this order: a kill between the two leaves two dead letters, not none.
        await self._broker.bury(self._name, delivery.command, reason)
        async with translating("burying a command"):
            await delivery.message.ack()

    async def _give_back(self, delivery: "_Delivery", reason: str) -> None:
        if not delivery.is_open:
            return
        self._settle(delivery)
        if delivery.command.deliveries >= self._max_deliveries:
            await self._bury(delivery, reason)
            return
        async with translating("giving a command back"):
            await delivery.message.nack(requeue=True)

    def _settle(self, delivery: "_Delivery") -> None:
        if not delivery.is_open:
            raise _fenced(delivery)
        delivery.is_open = False
        self._open.remove(delivery)

    async def _sync(self) -> None:
        """Wait until the server has taken all that was sent on the channel: it answers in order.

        Who asks while an answer is under way shares the next one.
        """
        syncing = self._syncing
        if syncing is None or syncing.done():
            sync = self._syncing = asyncio.create_task(self._ask_server())
        else:
            if self._next_sync is None or self._next_sync.done() or self._next_sync is syncing:
                self._next_sync = asyncio.create_task(self._ask_server_after(syncing))
            sync = self._next_sync
        await asyncio.shield(sync)

    async def _ask_server_after(self, before: "asyncio.Task[None]") -> None:
        await asyncio.wait([before])
        self._syncing = asyncio.current_task()
        await self._ask_server()

    async def _ask_server(self) -> None:
        async with translating("settling a command"):
            if self._channel is None:
                raise OSError("the connection broke")
            # The cheapest question there is; it changes nothing.
            await self._channel.set_qos(self._prefetch, timeout=self._broker.timeout_s)

    async def _resume(self) -> None:
        """Begin or go on taking commands. Raises QueueUnavailable."""
        async with self._turn:
            if self._is_consuming or self._is_leaving:
                return
            if self._channel is None or self._channel.is_closed:
                self._forget()
                channel = await self._broker.channel()
                async with translating(f"taking from the queue {self._name!r}"):
                    await channel.set_qos(self._prefetch, timeout=self._broker.timeout_s)
                    self._queue = await self._broker.declare(channel, self._name)
                    taking = await channel.get_underlay_channel()
                taking.on_consumer_cancel_callbacks.add(self._on_cancelled)
                channel.close_callbacks.add(self._on_lost)
                self._channel = channel
            assert self._queue is not None
            self._is_consuming = True
            try:
                async with translating(f"taking from the queue {self._name!r}"):
                    await self._queue.consume(self._on_message, consumer_tag=self._tag, timeout=self._broker.timeout_s)
            except BaseException:
                self._is_consuming = False
                raise

    async def _resume_in_time(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not (self._is_leaving or self._broker.is_closed):
            try:
                await self._resume()
                return
            except QueueUnavailable:
                await self._clock.sleep(wait_s)
                wait_s = min(wait_s * 2, _LAST_WAIT_S)
        self._tell()

    async def _pause(self) -> None:
        """Nothing more is given to this worker until it asks. Raises QueueUnavailable."""
        async with self._turn:
            if not self._is_consuming or self._queue is None:
                return
            self._is_consuming = False
            async with translating("pausing"):
                await self._queue.cancel(self._tag, timeout=self._broker.timeout_s)

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        until_ns = self._clock.monotonic_ns() + self._ack_timeout_ns
        delivery = _Delivery(self, message, command_of(message), until_ns)
        self._open.append(delivery)
        if delivery.command.deliveries > self._max_deliveries:
            # Workers died over it too often to tell why themselves.
            self._spawn(self._give_up(delivery))
            return
        self._ready.append(delivery)
        self._tell()

    async def _give_up(self, delivery: "_Delivery") -> None:
        with suppress(QueueUnavailable, Fenced):
            await self._give_back(delivery, UNSETTLED)

    def _on_lost(self, channel: object, _: BaseException | None) -> None:
        if channel is not self._channel:
            return
        self._forget()
        self._tell()
        if not (self._is_leaving or self._broker.is_closed):
            self._spawn(self._resume_in_time())

    def _on_cancelled(self, _: object) -> None:
        """The server took the queue away; a new channel declares it again."""
        channel = self._channel
        if channel is not None and not self._is_leaving:
            self._spawn(_close(channel))

    def _forget(self) -> None:
        """The server has given everything to others."""
        self._channel = None
        self._is_consuming = False
        for delivery in self._open:
            delivery.is_open = False
        self._open.clear()
        self._ready.clear()

    async def _watch(self) -> None:
        """Take from this worker what it does not acknowledge in time."""
        while True:
            if not self._open:
                await self._changed.wait()
                continue
            left_ns = self._open[0].until_ns - self._clock.monotonic_ns()
            if left_ns > 0:
                await self._clock.sleep(left_ns / NS_PER_SECOND)
                continue
            try:
                await self._pause()
                now_ns = self._clock.monotonic_ns()
                for delivery in [one for one in self._open if one.until_ns <= now_ns]:
                    await self._give_back(delivery, UNSETTLED)
            except QueueUnavailable:
                # The connection is breaking, and with it all of this passes to others.
                await self._clock.sleep(_FIRST_WAIT_S)

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)


class _Delivery:
    def __init__(self, worker: Worker, message: AbstractIncomingMessage, command: Command, until_ns: int) -> None:
        self._worker = worker
        self._command = command
        self.message = message
        self.until_ns = until_ns
        self.is_open = True

    @property
    def command(self) -> Command:
        return self._command

    async def ack(self) -> None:
        """Raises Fenced when the command went to another worker meanwhile, QueueUnavailable when it may have."""
        await self._worker.acknowledge(self)

    async def reject(self, reason: str, *, requeue: bool) -> None:
        """Raises Fenced when the command went to another worker meanwhile, QueueUnavailable when it may have."""
        await self._worker.reject(self, reason, requeue=requeue)


async def _close(channel: AbstractChannel) -> None:
    with suppress(QueueUnavailable):
        async with translating("closing a channel"):
            if not channel.is_closed:
                await channel.close()


def _fenced(delivery: _Delivery) -> Fenced:
    return Fenced(f"the command went to another worker or was settled before, was {delivery.command.id!r}")
