"""The connection to the server, made anew whenever it breaks, and the queues on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import urlsplit

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractQueue
from aio_pika.exceptions import (
    AMQPError,
    ChannelClosed,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    DeliveryError,
)

from candlewick.adapters.queue.rabbitmq.wire import letter_of, message_of
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.ports.queue import Command, QueueUnavailable

T = TypeVar("T")

_FIRST_WAIT_S: Final = 0.05
_LAST_WAIT_S: Final = 1.0
# Two missed ones end a connection: what a frozen process holds goes to others after 20 s at most.
_HEARTBEAT_S: Final = 10
# The server's own bound only keeps a message from circling for ever should nobody enforce ours: it cannot be changed
# once the queue is there, and knows no reason. With a bound, a quorum queue gives returned messages out first.
_SERVER_LIMIT: Final = 1000
# A server killed within a second of making a quorum queue may come back knowing its name but not its data: it takes no
# message and gives none, for ever (RabbitMQ 3.10; seen at 0.5 s and before, not at 1 s).
SETTLE_S: Final = 1.5
_FORGET_WITHIN_S: Final = 0.2
_LEADER_WITHIN_S: Final = 2.0


@asynccontextmanager
async def translating(doing: str) -> AsyncIterator[None]:
    """Errors of server and client as QueueUnavailable."""
    try:
        yield
    except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError, RuntimeError) as error:
        raise QueueUnavailable(f"{doing}: {str(error) or type(error).__name__}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # The client cancels what waits for an answer on a connection that breaks.
        raise QueueUnavailable(f"{doing}: the connection broke") from error


class Broker:
    """One connection, and one channel on it for what is sent."""

    #: Given with every queue of commands that is declared.
    queue_arguments: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self, url: str, clock: Clock, *, namespace: str, name: str, timeout_s: float, settle_s: float = SETTLE_S
    ) -> None:
        divider = "&" if urlsplit(url).query else "?"
        self._url = url if "heartbeat=" in url else f"{url}{divider}heartbeat={_HEARTBEAT_S}"
        self._clock = clock
        self._namespace = namespace
        self._name = name
        self.timeout_s = timeout_s
        self._settle_s = settle_s
        # Made by us while the server was not sure to know them again.
        self._unsettled: set[str] = set()
        self._connection: AbstractConnection | None = None
        self._sending: tuple[AbstractChannel, AbstractExchange] | None = None
        self._declared: set[str] = set()
        self._lock = asyncio.Lock()
        self._turns: dict[str, asyncio.Lock] = {}
        self.is_closed = False

    async def open(self) -> None:
        """Raises QueueUnavailable."""
        await self._patient("connecting to the queue's server", _nothing)

    async def close(self) -> None:
        """The server gives what was not acknowledged to others."""
        self.is_closed = True
        connection, self._connection = self._connection, None
        self._sending = None
        if connection is not None:
            with suppress(QueueUnavailable):
                async with translating("closing"), asyncio.timeout(self.timeout_s):
                    await connection.close()

    async def channel(self) -> AbstractChannel:
        """A channel of one's own, without confirms. Raises QueueUnavailable."""

        async def open_one(connection: AbstractConnection) -> AbstractChannel:
            channel = connection.channel(publisher_confirms=False)
            await channel.initialize(self.timeout_s)
            return channel

        return await self._patient("opening a channel", open_one)

    async def send(self, queue: str, command: Command) -> None:
        """Returns once the queue keeps it. Raises QueueUnavailable."""
        doing = f"sending to the queue {queue!r}"
        channel, _ = await self._patient(doing, lambda connection: self._channel_for(connection, queue))
        async with translating(doing):
            await self._publish(channel, queue, command)

    async def bury(self, queue: str, command: Command, reason: str) -> None:
        """Returns once the dead letters keep it. Raises QueueUnavailable."""
        doing = f"burying a command of the queue {queue!r}"
        _, dead = await self._patient(doing, lambda connection: self._channel_for(connection, queue))
        async with translating(doing):
            await dead.publish(letter_of(command, reason), queue, mandatory=True, timeout=self.timeout_s)

    async def declare(self, channel: AbstractChannel, queue: str) -> AbstractQueue:
        """The queue, its dead letters, and the way to them; what is there already is left as it is.

        A new queue is promised nothing to until the server would know it again after a kill.
        """
        if queue in self._unsettled:
            await self._mend(queue)
        is_new = self._settle_s > 0 and not await self._is_there(self._main_name(queue))
        if is_new:
            self._unsettled.add(queue)
        declared = await self._declare(channel, queue)
        if is_new:
            await self._clock.sleep(self._settle_s)
            # It fails where the connection broke meanwhile, and the queue stays as unsettled as it is.
            await self._dead_exchange(channel)
            self._unsettled.discard(queue)
        return declared

    async def _declare(self, channel: AbstractChannel, queue: str) -> AbstractQueue:
        dead = await self._dead_exchange(channel)
        letters = await channel.declare_queue(
            self._dead_name(queue), durable=True, arguments={"x-queue-type": "quorum"}, timeout=self.timeout_s
        )
        await letters.bind(dead, routing_key=queue, timeout=self.timeout_s)
        arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-delivery-limit": _SERVER_LIMIT,
            "x-dead-letter-exchange": dead.name,
            "x-dead-letter-routing-key": queue,
            # Else a dead letter can get lost between the two queues; it needs refusing instead of dropping.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            **self.queue_arguments,
        }
        return await channel.declare_queue(
            self._main_name(queue), durable=True, arguments=arguments, timeout=self.timeout_s
        )

    async def _is_there(self, name: str) -> bool:
        """Also when the queue has no leader."""
        async with self._aside() as channel:
            try:
                await channel.declare_queue(name, passive=True, timeout=self.timeout_s)
            except ChannelNotFoundEntity:
                return False
            return True

    async def _mend(self, queue: str) -> None:
        """The server went down while it made the queue. Where that left one without a leader it is taken away, and
        with it nothing: no sending to it was confirmed."""

        async def mend(name: str) -> None:
            try:
                async with self._aside() as channel:
                    there = await channel.declare_queue(name, passive=True, timeout=self.timeout_s)
                    # Only a leader answers this; what it gives goes back when the channel closes.
                    await there.get(fail=False, timeout=_LEADER_WITHIN_S)
            except ChannelNotFoundEntity:
                return
            except TimeoutError:
                async with self._aside() as channel:
                    await channel.queue_delete(name, timeout=2 * self.timeout_s)

        await asyncio.gather(*(mend(name) for name in (self._main_name(queue), self._dead_name(queue))))
        self._unsettled.discard(queue)

    @asynccontextmanager
    async def _aside(self) -> AsyncIterator[AbstractChannel]:
        """A channel that may be closed by what is asked on it."""
        assert self._connection is not None
        channel = self._connection.channel(publisher_confirms=False)
        await channel.initialize(self.timeout_s)
        try:
            yield channel
        finally:
            if not channel.is_closed:
                await channel.close()

    @asynccontextmanager
    async def alone_with(self, channel: AbstractChannel, queue: str) -> AsyncIterator[None]:
        """For one at a time among all processes: a queue that belongs to this connection stands for the turn.

        Raises ChannelLockedResource when another connection has it.
        """
        turn = f"{self._namespace}.turn.{queue}"
        async with self._turns.setdefault(queue, asyncio.Lock()):
            # Where the channel breaks the turn ends by itself.
            expiry: dict[str, Any] = {"x-expires": int(self.timeout_s * 2000)}
            await channel.declare_queue(turn, exclusive=True, arguments=expiry, timeout=self.timeout_s)
            try:
                yield
            finally:
                if not channel.is_closed:
                    await channel.queue_delete(turn, timeout=self.timeout_s)

    async def letters(self, channel: AbstractChannel, queue: str) -> AbstractQueue:
        """The dead letters as they are now. Raises ChannelNotFoundEntity when the queue was never used."""
        return await channel.declare_queue(self._dead_name(queue), passive=True, timeout=self.timeout_s)

    def _dead_name(self, queue: str) -> str:
        return f"{self._namespace}.dead.{queue}"

    def _main_name(self, queue: str) -> str:
        return f"{self._namespace}.queue.{queue}"

    async def _dead_exchange(self, channel: AbstractChannel) -> AbstractExchange:
        return await channel.declare_exchange(
            f"{self._namespace}.dead", aio_pika.ExchangeType.DIRECT, durable=True, timeout=self.timeout_s
        )

    async def _channel_for(
        self, connection: AbstractConnection, queue: str
    ) -> tuple[AbstractChannel, AbstractExchange]:
        """The channel that sends and the way to the dead letters, the queue declared since the channel was made."""
        sending = await self._sending_channel(connection)
        if queue not in self._declared:
            await self.declare(sending[0], queue)
            self._declared.add(queue)
        return sending

    async def _sending_channel(self, connection: AbstractConnection) -> tuple[AbstractChannel, AbstractExchange]:
        if self._sending is None or self._sending[0].is_closed:
            self._declared.clear()
            channel = connection.channel(publisher_confirms=True, on_return_raises=True)
            await channel.initialize(self.timeout_s)
            self._sending = (channel, await self._dead_exchange(channel))
        return self._sending

    async def _publish(self, channel: AbstractChannel, queue: str, command: Command) -> None:
        message, name = message_of(command), self._main_name(queue)
        try:
            await channel.default_exchange.publish(message, name, mandatory=True, timeout=self.timeout_s)
        except DeliveryError:
            # Somebody has deleted the queue since it was declared, or it is full.
            await self.declare(channel, queue)
            await channel.default_exchange.publish(message, name, mandatory=True, timeout=self.timeout_s)

    async def _patient(self, doing: str, work: Callable[[AbstractConnection], Awaitable[T]]) -> T:
        """Do what may be done twice on a connection that stands; the server is waited for until the time is over."""
        until_ns = self._clock.monotonic_ns() + int(self.timeout_s * NS_PER_SECOND)
        wait_s = _FIRST_WAIT_S
        async with self._lock:
            while True:
                if self.is_closed:
                    raise QueueUnavailable(f"{doing}: the queue is closed")
                try:
                    async with translating(doing), asyncio.timeout(self.timeout_s):
                        return await work(await self._connected())
                except QueueUnavailable as error:
                    # What the server refuses while the connection stands, it will refuse again.
                    if isinstance(error.__cause__, ChannelClosed) or self._clock.monotonic_ns() >= until_ns:
                        raise
                    await self._clock.sleep(wait_s)
                    wait_s = min(wait_s * 2, _LAST_WAIT_S)

    async def _connected(self) -> AbstractConnection:
        # Its ``is_closed`` speaks of our own closing alone.
        if self._connection is None or not self._connection.connected.is_set():
            broken, self._connection, self._sending = self._connection, None, None
            if broken is not None:
                # Else it closes itself when it is forgotten, in whatever is running then.
                closing = asyncio.ensure_future(broken.close())
                closing.add_done_callback(lambda done: done.cancelled() or done.exception())
                await asyncio.wait([closing], timeout=_FORGET_WITHIN_S)
            self._connection = await aio_pika.connect(
                self._url, timeout=self.timeout_s, client_properties={"connection_name": self._name}
            )
        return self._connection


async def _nothing(_: AbstractConnection) -> None:
    """To be connected is all."""
