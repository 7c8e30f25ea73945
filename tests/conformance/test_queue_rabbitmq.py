"""RabbitMQ keeps the laws of command queues, also while connections break."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest

from candlewick.adapters.queue.rabbitmq import RabbitQueue
from candlewick.kernel.errors import Fenced
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.queue import Command, Delivery, QueueUnavailable
from candlewick.testing import servers
from candlewick.testing.conformance.queue import CommandQueueConformance, command
from candlewick.testing.link import Link

QUEUES = ("q", "a", "b")


class RabbitHarness:
    """Queues of its own in one virtual host. A kill cuts every connection there is."""

    ack_timeout_s = 1.0
    max_deliveries = 4

    def __init__(self, url: str, scratch: Path) -> None:
        self._url = url
        self.link = Link(url)
        self.namespace = f"test-{SystemIds().new().hex}"
        self._handles: list[RabbitQueue] = []
        self.scratch = scratch

    async def handle(self, *, timeout_s: float = 5.0) -> RabbitQueue:
        queue = RabbitQueue(
            self.link.url,
            SystemClock(),
            SystemIds(),
            namespace=self.namespace,
            ack_timeout_s=self.ack_timeout_s,
            max_deliveries=self.max_deliveries,
            timeout_s=timeout_s,
            settle_s=0.0,
        )
        self._handles.append(queue)
        await queue.open()
        return queue

    async def kill(self) -> None:
        await self.link.cut()
        await self._close_handles()
        self.link = Link(self._url)
        await self.link.open()

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def delete(self, *names: str) -> None:
        connection = await aio_pika.connect(self._url)
        async with connection, connection.channel() as channel:
            for name in names:
                for kind in ("queue", "dead"):
                    await channel.queue_delete(f"{self.namespace}.{kind}.{name}")
            await channel.exchange_delete(f"{self.namespace}.dead")

    async def close(self) -> None:
        await self._close_handles()
        await self.link.cut()
        await self.delete(*QUEUES)

    async def _close_handles(self) -> None:
        while self._handles:
            await self._handles.pop().close()


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[RabbitHarness]:
    if (url := servers.address("rabbitmq")) is None:
        pytest.skip(servers.why_not("rabbitmq"))
    harness = RabbitHarness(url, tmp_path)
    await harness.link.open()
    yield harness
    await harness.close()


class TestRabbitQueue(CommandQueueConformance):
    @pytest.fixture
    def harness(self, harness: RabbitHarness) -> RabbitHarness:
        return harness


async def _next(worker: AsyncIterator[Delivery]) -> Delivery:
    async with asyncio.timeout(8):
        return await anext(worker)


async def test_workers_go_on_after_the_connection_broke(harness: RabbitHarness) -> None:
    queue = await harness.handle()
    for i in range(3):
        await queue.send("q", command(i))
    async with queue.consume("q", prefetch=1) as worker:
        held = await _next(worker)
        await harness.link.cut()
        waiting = asyncio.create_task(_next(worker))
        await asyncio.sleep(0.1)
        await harness.link.open()
        again = await waiting
        assert (again.command.id, again.command.deliveries) == ("id-0", 2)
        with pytest.raises(Fenced):
            await held.ack()
        await again.ack()
        for i in (1, 2):
            delivery = await _next(worker)
            assert delivery.command.id == f"id-{i}"
            await delivery.ack()
        await queue.send("q", command(3))
        await (await _next(worker)).ack()


async def test_sending_waits_for_the_server_but_not_for_ever(harness: RabbitHarness) -> None:
    patient, hasty = await harness.handle(), await harness.handle(timeout_s=0.3)
    await harness.link.cut()
    sending = asyncio.create_task(patient.send("q", command(1)))
    with pytest.raises(QueueUnavailable) as away:
        await hasty.send("q", command(2))
    assert away.value.code == "QUEUE_UNAVAILABLE"
    assert not sending.done()
    await harness.link.open()
    await sending
    await hasty.send("q", command(3))
    async with patient.consume("q") as worker:
        assert [(await _next(worker)).command.id for _ in range(2)] == ["id-1", "id-3"]


async def test_a_command_that_workers_die_over_is_buried(harness: RabbitHarness) -> None:
    await (await harness.handle()).send("q", command(1))
    for deliveries in range(1, harness.max_deliveries + 1):
        queue = await harness.handle()
        async with queue.consume("q") as worker:
            assert (await _next(worker)).command.deliveries == deliveries
            await harness.kill()
    queue = await harness.handle()
    async with queue.consume("q") as worker:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(worker), 0.5)
    ((dead, reason),) = await queue.dead("q")
    assert (dead.id, dead.deliveries) == ("id-1", harness.max_deliveries + 1)
    assert "died" in reason


async def test_a_worker_that_hangs_gets_nothing_more(harness: RabbitHarness) -> None:
    queue, other = await harness.handle(), await harness.handle()
    async with queue.consume("q", prefetch=1) as hung:
        await queue.send("q", command(1))
        await _next(hung)
        await asyncio.sleep(harness.ack_timeout_s * 1.3)
        async with other.consume("q", prefetch=1) as sound:
            for i in range(2, 5):
                await queue.send("q", command(i))
            found = []
            for _ in range(4):
                delivery = await _next(sound)
                found.append(delivery.command.id)
                await delivery.ack()
            assert found == ["id-1", "id-2", "id-3", "id-4"]
        await queue.send("q", command(5))
        await (await _next(hung)).ack()


async def test_a_queue_taken_away_is_made_again(harness: RabbitHarness) -> None:
    queue = await harness.handle()
    await queue.send("q", command(1))
    async with queue.consume("q") as worker:
        await (await _next(worker)).ack()
        await harness.delete("q")
        await asyncio.sleep(0.2)
        await queue.send("q", command(2))
        await (await _next(worker)).ack()


async def test_two_look_at_the_dead_letters_at_once(harness: RabbitHarness) -> None:
    handles = [await harness.handle() for _ in range(2)]
    for i in range(5):
        await handles[0].send("q", command(i))
    async with handles[0].consume("q") as worker:
        for _ in range(5):
            await (await _next(worker)).reject("no", requeue=False)
    looks = await asyncio.gather(*(handle.dead("q") for handle in (*handles, *handles)))
    assert [[dead.id for dead, _ in look] for look in looks] == [[f"id-{i}" for i in range(5)]] * 4


async def test_a_closed_queue_ends_its_workers(harness: RabbitHarness) -> None:
    queue = await harness.handle()
    async with queue.consume("q") as worker:
        waiting = asyncio.create_task(anext(worker))
        await asyncio.sleep(0.05)
        await queue.close()
        with pytest.raises(StopAsyncIteration):
            async with asyncio.timeout(2):
                await waiting
    with pytest.raises(QueueUnavailable, match="closed"):
        await queue.send("q", command(1))


async def test_long_names_ids_and_headers(harness: RabbitHarness) -> None:
    queue = await harness.handle()
    sent = Command("i" * 3000, "n" * 3000, bytes(300_000), {"k" * 3000: "v" * 30_000})
    await queue.send("q", sent)
    async with queue.consume("q") as worker:
        delivery = await _next(worker)
        assert delivery.command == sent
        await delivery.ack()
