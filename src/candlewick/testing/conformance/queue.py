"""The laws of ``ports.queue``, for every adapter.

 1 A command sent is kept: a killed process loses none, and what was acknowledged does not come back.
 2 A command is delivered to one worker of its group at a time, whatever their number.
 3 A worker that leaves without acknowledging gives its commands to the others; so does a killed one.
 4 What is not acknowledged in time is delivered again, and a late acknowledgement does not take it from its new worker.
 5 ``reject`` with ``requeue`` delivers again; ``deliveries`` counts from 1.
 6 After ``max_deliveries`` a command goes to the dead letters with the reason of its last rejection.
 7 ``reject`` without ``requeue`` sends a command to the dead letters at once.
 8 Commands that are not redelivered keep their order, and queues are apart.
 9 A worker holds no more than ``prefetch`` commands at once.
10 A command arrives as it was sent: id, name, body, headers.
11 Dead letters come oldest first, at most ``limit``.
12 A waiting worker is woken by a new command, also by one that another process sent.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Protocol

import pytest

from candlewick.kernel.errors import Fenced
from candlewick.ports.queue import Command, CommandQueue, Delivery
from candlewick.testing.conformance.harness import Harness

_PATIENCE_S = 3.0
_QUIET_S = 0.25


class QueueHarness(Harness[CommandQueue], Protocol):
    """Handles whose time to acknowledge is short."""

    @property
    def ack_timeout_s(self) -> float: ...

    @property
    def max_deliveries(self) -> int: ...

    async def pass_time(self, seconds: float) -> None:
        """Let the queue's clock move on by this much."""
        ...


def command(i: int) -> Command:
    return Command(f"id-{i}", "do", b"%d" % i)


async def _next(worker: AsyncIterator[Delivery]) -> Delivery:
    try:
        return await asyncio.wait_for(anext(worker), _PATIENCE_S)
    except TimeoutError:
        raise AssertionError("no command came") from None


async def _take(worker: AsyncIterator[Delivery], count: int) -> list[Delivery]:
    return [await _next(worker) for _ in range(count)]


async def _nothing(worker: AsyncIterator[Delivery]) -> bool:
    """Whether nothing comes for a while. The worker is of no use afterwards."""
    try:
        await asyncio.wait_for(anext(worker), _QUIET_S)
    except (TimeoutError, StopAsyncIteration):
        return True
    return False


class CommandQueueConformance:
    """Bind it with a fixture ``harness`` (see the module's docstring for the laws)."""

    @pytest.fixture
    def harness(self) -> QueueHarness:
        raise NotImplementedError("a binding gives the harness")

    async def test_01_a_command_is_kept_until_acknowledged(self, harness: QueueHarness) -> None:
        queue = await harness.handle()
        for i in range(10):
            await queue.send("q", command(i))
        async with queue.consume("q", prefetch=1) as worker:
            for delivery in await _take_each(worker, 4):
                assert delivery.command.deliveries == 1
            await harness.kill()
        queue = await harness.handle()
        async with queue.consume("q") as worker:
            found = await _take_each(worker, 6)
            assert sorted(int(one.command.body) for one in found) == [4, 5, 6, 7, 8, 9]
            assert await _nothing(worker)

    async def test_02_one_worker_at_a_time(self, harness: QueueHarness) -> None:
        handles = [await harness.handle() for _ in range(2)]
        got: list[str] = []
        enough = asyncio.Event()

        async def work(queue: CommandQueue) -> None:
            async with queue.consume("q", prefetch=3) as worker:
                async for delivery in worker:
                    got.append(delivery.command.id)
                    await asyncio.sleep(0.002)
                    await delivery.ack()
                    if len(set(got)) == 40:
                        enough.set()

        workers = [asyncio.create_task(work(queue)) for queue in (*handles, *handles)]
        for i in range(40):
            await handles[i % 2].send("q", command(i))
        with suppress(TimeoutError):
            await asyncio.wait_for(enough.wait(), _PATIENCE_S)
        await asyncio.sleep(0.1)
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        assert sorted(got) == sorted(f"id-{i}" for i in range(40))

    async def test_03_who_leaves_gives_back(self, harness: QueueHarness) -> None:
        queue = await harness.handle()
        for i in range(3):
            await queue.send("q", command(i))
        async with queue.consume("q") as worker:
            await _take(worker, 2)
        async with queue.consume("q") as worker:
            found = await _take(worker, 3)
            assert [one.command.id for one in found] == ["id-0", "id-1", "id-2"]
            assert found[0].command.deliveries == 2
            await harness.kill()
        queue = await harness.handle()
        async with queue.consume("q") as worker:
            found = await _take_each(worker, 3)
            assert {one.command.id for one in found} == {"id-0", "id-1", "id-2"}
            assert all(one.command.deliveries > 1 for one in found)

    async def test_04_what_is_not_acknowledged_in_time(self, harness: QueueHarness) -> None:
        queue, other = await harness.handle(), await harness.handle()
        await queue.send("q", command(1))
        async with queue.consume("q") as slow, other.consume("q") as quick:
            late = await _next(slow)
            await harness.pass_time(harness.ack_timeout_s * 1.2)
            again = await _next(quick)
            assert (again.command.id, again.command.deliveries) == ("id-1", 2)
            with suppress(Fenced):
                await late.ack()
            await again.reject("once more", requeue=True)
        async with queue.consume("q") as worker:
            assert (await _next(worker)).command.deliveries == 3, "a late acknowledgement took the command away"

    async def test_05_rejected_commands_come_again(self, harness: QueueHarness) -> None:
        queue = await harness.handle()
        await queue.send("q", command(1))
        async with queue.consume("q") as worker:
            for deliveries in range(1, harness.max_deliveries):
                delivery = await _next(worker)
                assert delivery.command.deliveries == deliveries
                await delivery.reject("not now", requeue=True)
            await (await _next(worker)).ack()
            assert await _nothing(worker)
        assert await queue.dead("q") == []

    async def test_06_too_many_deliveries(self, harness: QueueHarness) -> None:
        queue = await harness.handle()
        await queue.send("q", command(1))
        await queue.send("q", command(2))
        async with queue.consume("q", prefetch=1) as worker:
            tries = 0
            while (delivery := await _next(worker)).command.id == "id-1":
                tries += 1
                await delivery.reject(f"try {tries}", requeue=True)
            await delivery.ack()
            assert tries == harness.max_deliveries
            assert await _nothing(worker)
        ((dead, reason),) = await queue.dead("q")
        assert (dead.id, dead.body, reason) == ("id-1", b"1", f"try {tries}")

    async def test_07_rejected_for_good(self, harness: QueueHarness) -> None:
        queue = await harness.handle()
        await queue.send("q", command(1))
        async with queue.consume("q") as worker:
            await (await _next(worker)).reject("nobody can", requeue=False)
            assert await _nothing(worker)
        await harness.kill()
        queue = await harness.handle()
        assert [(one.id, reason) for one, reason in await queue.dead("q")] == [("id-1", "nobody can")]
        assert await queue.dead("other") == []

    async def test_08_order(self, harness: QueueHarness) -> None:
        queue = await harness.handle()
        for i in range(50):
            await queue.send("a" if i % 2 else "b", command(i))
        for name, first in (("b", 0), ("a", 1)):
            async with queue.consume(name, prefetch=4) as worker:
                found = await _take_each(worker, 25)
                assert [int(one.command.body) for one in found] == list(range(first, 50, 2))

    async def test_09_prefetch(self, harness: QueueHarness) -> None:
        queue = await harness.handle()
        for i in range(6):
            await queue.send("q", command(i))
        async with AsyncExitStack() as stack:
            worker = await stack.enter_async_context(queue.consume("q", prefetch=2))
            held = await _take(worker, 2)
            other = await stack.enter_async_context(queue.consume("q", prefetch=10))
            rest = await _take(other, 4)
            assert [one.command.id for one in rest] == ["id-2", "id-3", "id-4", "id-5"]
            await rest[0].reject("to the other", requeue=True)
            await held[0].ack()
            await stack.aclose()
        async with queue.consume("q", prefetch=2) as worker:
            await _take(worker, 2)
            assert await _nothing(worker), "more than prefetch was delivered"

    async def test_10_a_command_arrives_as_sent(self, harness: QueueHarness) -> None:
        queue = await harness.handle()
        sent = Command("α/1", "PlaceOrder", bytes(range(256)), {"correlation": "π", "empty": ""})
        await queue.send("q", sent)
        async with queue.consume("q") as worker:
            delivery = await _next(worker)
            assert delivery.command == sent
            await delivery.reject("why", requeue=False)
        assert await queue.dead("q") == [(sent, "why")]

    async def test_11_dead_letters_in_order(self, harness: QueueHarness) -> None:
        queue = await harness.handle()
        for i in range(8):
            await queue.send("q", command(i))
        async with queue.consume("q") as worker:
            found = await _take(worker, 8)
            order = [5, 2, 7, 0, 1, 6, 3, 4]
            for i in order:
                await found[i].reject(f"reason {i}", requeue=False)
        dead = await queue.dead("q")
        assert [(int(one.body), reason) for one, reason in dead] == [(i, f"reason {i}") for i in order]
        assert [int(one.body) for one, _ in await queue.dead("q", 3)] == order[:3]

    async def test_12_a_waiting_worker_is_woken(self, harness: QueueHarness) -> None:
        queue, other = await harness.handle(), await harness.handle()
        async with queue.consume("q") as worker:
            for i, sender in enumerate((queue, other)):
                waiting = asyncio.create_task(_next(worker))
                await asyncio.sleep(0.05)
                await sender.send("q", command(i))
                delivery = await waiting
                assert delivery.command.id == f"id-{i}"
                await delivery.ack()


async def _take_each(worker: AsyncIterator[Delivery], count: int) -> list[Delivery]:
    found = []
    for _ in range(count):
        found.append(await _next(worker))
        await found[-1].ack()
    return found
