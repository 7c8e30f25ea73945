"""A mirror, its log and its listeners, for tests of the control plane."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aio_pika

from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.adapters.queue.rabbitmq import RabbitControlPlane
from candlewick.app.runtime.mirror import ControlMirror
from candlewick.app.runtime.mirror_listener import ControlListener
from candlewick.contracts import codec, control
from candlewick.contracts.base import Envelope, Message
from candlewick.contracts.market import Instrument, SymbolAdded, SymbolDeleted, SymbolUpdated
from candlewick.contracts.topics import TOPIC_OF
from candlewick.kernel.logging import logger
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import EventLog, NewRecord
from candlewick.ports.runtime import Event

EVERY = tuple(control.NAMES.values())
CLOCK, IDS = SystemClock(), SystemIds()


def instrument(symbol: str, **more: Any) -> Instrument:
    base, quote = symbol.split("-")
    fields = {"price_tick": "0.01", "size_step": "0.00001", "price_scale": 2, "size_scale": 5, **more}
    return Instrument("binance", symbol, base + quote, base, quote, **fields)


def record(message: Message, *, event_id: UUID | None = None, key: str | None = None) -> NewRecord:
    envelope = Envelope(event_id or IDS.new(), type(message).__name__, 1, 2, message.key, "market", sequence=0)
    topic = TOPIC_OF[type(message)].name
    return NewRecord(topic, key or message.key, codec.encode(message), codec.encode_envelope(envelope), 1)


def life_of_symbols(symbols: int, rounds: int) -> list[Message]:
    """Symbols added, changed and some deleted again."""
    said: list[Message] = [SymbolAdded(instrument(f"S{one}-USDT")) for one in range(symbols)]
    for turn in range(rounds):
        for one in range(symbols):
            if (one + turn) % 5 == 4:
                said.append(SymbolDeleted("binance", f"S{one}-USDT"))
            else:
                said.append(SymbolUpdated(instrument(f"S{one}-USDT", price_scale=turn % 9)))
    return said


def state_after(said: list[Message]) -> dict[str, Instrument]:
    state: dict[str, Instrument] = {}
    for message in said:
        apply(state, message)
    return state


def apply(state: dict[str, Instrument], message: Message) -> None:
    if isinstance(message, SymbolAdded):
        state[message.key] = message.instrument
    else:
        state.pop(message.key, None)


@dataclass
class Ear:
    """A group's listener and what it made of what it heard."""

    plane: RabbitControlPlane
    group: str
    heard: list[Event] = field(default_factory=list)
    state: dict[str, Instrument] = field(default_factory=dict)
    before: Callable[[Event], Awaitable[None]] | None = None

    async def take(self, event: Event) -> None:
        if self.before is not None:
            await self.before(event)
        self.heard.append(event)
        apply(self.state, event.message)

    def listener(self, names: tuple[str, ...] = EVERY) -> ControlListener:
        return ControlListener(
            plane=self.plane, group=self.group, names=names, handler=self.take, clock=CLOCK, metrics=Metrics(),
            logger=logger("test"),
        )  # fmt: skip


class House:
    """A log, a namespace on the server, and the parts that run between them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.namespace = f"test-{IDS.new().hex}"
        self._planes: list[RabbitControlPlane] = []

    async def plane(self, url: str | None = None, **options: Any) -> RabbitControlPlane:
        plane = RabbitControlPlane(
            url or self.url, CLOCK, IDS, namespace=self.namespace, **{"settle_s": 0.0, "timeout_s": 5.0, **options}
        )
        self._planes.append(plane)
        await plane.open()
        return plane

    async def ear(self, group: str, **options: Any) -> Ear:
        return Ear(await self.plane(**options), group)

    def log(self) -> SqliteEventLog:
        return SqliteEventLog(self.folder, CLOCK)

    async def close(self) -> None:
        for plane in self._planes:
            await plane.close()
        connection = await aio_pika.connect(self.url)
        async with connection, connection.channel() as channel:
            for group in ("a", "b", "late"):
                for kind in ("queue", "dead"):
                    await channel.queue_delete(f"{self.namespace}.{kind}.control.{group}")
            for name in ("control", "dead"):
                await channel.exchange_delete(f"{self.namespace}.{name}")


@asynccontextmanager
async def running(*parts: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def opened(log: EventLog) -> AsyncIterator[EventLog]:
    await log.open()
    try:
        yield log
    finally:
        await log.close()


def mirror(log: EventLog, plane: Any, member: str = "m") -> ControlMirror:
    return ControlMirror(log=log, plane=plane, member=member, clock=CLOCK, metrics=Metrics(), logger=logger("test"))


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def send(log: EventLog, said: list[Message]) -> None:
    producer = await log.producer("market")
    await producer.send([record(message) for message in said])
    await producer.close()
