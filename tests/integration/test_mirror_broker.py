"""A RabbitMQ of the test's own is killed and started again: nothing is lost, no queue stays without a leader."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from candlewick.adapters.queue.rabbitmq import RabbitControlPlane, RabbitQueue
from candlewick.contracts.market import SymbolUpdated
from candlewick.ports.queue import Command, QueueUnavailable
from candlewick.testing import servers
from tests.mirror import (
    CLOCK,
    IDS,
    Ear,
    House,
    instrument,
    life_of_symbols,
    mirror,
    opened,
    running,
    send,
    state_after,
    until,
)
from tools.servers import place, supervise
from tools.servers.fetch import find
from tools.servers.rabbitmq import ERLANG, FOLDERS, RabbitMQ

SHIFT = 4321
pytestmark = [
    pytest.mark.kill,  # and so with all of this file on one worker: they share the server that they kill
    pytest.mark.skipif(servers.address("rabbitmq") is None, reason=servers.why_not("rabbitmq") or "there"),
    pytest.mark.skipif(
        find("rabbitmq-server", FOLDERS) is None or find("epmd", ERLANG) is None,
        reason="no rabbitmq-server is installed that a test may kill",
    ),
]


class PatientRabbit(RabbitMQ):
    """Erlang takes its time on a machine that others use as well."""

    ready_seconds = 240.0


class Server:
    """One that the test may kill."""

    def __init__(self) -> None:
        # Not pytest's folder: the server runs as a user of its own, who cannot look into that.
        self.home = place.ROOT / f".dev/servers-of-tests/rabbitmq-{SHIFT}"
        self._rabbit = PatientRabbit(place.ports(SHIFT), self.home)
        self.url = self._rabbit.addresses()["rabbitmq"]

    def start(self) -> None:
        self._rabbit.start()

    def kill(self) -> None:
        for process in self._rabbit.processes():
            if process.name == "rabbitmq" and (alive := process.running()) is not None:
                alive.kill()
                alive.wait(60)

    def remove(self) -> None:
        self.kill()
        self._rabbit.stop()
        supervise.stop(self._rabbit.processes())
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    server.remove()
    server.start()
    yield server
    server.remove()


async def test_a_broker_killed_while_the_mirror_runs_costs_time_and_nothing_else(
    server: Server, tmp_path: Path
) -> None:
    house = House(server.url, tmp_path / "log")
    house.folder.mkdir()
    said = life_of_symbols(10, 12)
    ear = Ear(await house.plane(settle_s=1.5), "a")
    async with opened(house.log()) as log, running(ear.listener()):
        await asyncio.sleep(2.0)
        async with running(mirror(log, await house.plane())):
            await send(log, said[:40])
            await until(lambda: len(ear.heard) > 10)
            sending = asyncio.create_task(_slowly(log, said[40:]))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await sending
            await until(lambda: len(ear.heard) >= len(said), 60)
    assert ear.state == state_after(said)
    for key in {message.key for message in said}:
        heard = [event.message for event in ear.heard if event.envelope.key == key]
        assert heard == [message for message in said if message.key == key]
    await house.close()


async def _slowly(log, said) -> None:  # type: ignore[no-untyped-def]
    for start in range(0, len(said), 10):
        await send(log, said[start : start + 10])
        await asyncio.sleep(0.05)


async def test_a_queue_made_just_before_the_kill_keeps_what_was_confirmed(server: Server) -> None:
    """Without the wait for a new queue it came back without a leader: nothing in, nothing out, for ever."""
    queue = RabbitQueue(server.url, CLOCK, IDS, namespace=IDS.new().hex, timeout_s=20.0)
    await queue.open()
    await queue.send("q", Command("1", "do", b"kept"))
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(30), queue.consume("q") as worker:
        delivery = await anext(worker)
        assert delivery.command.body == b"kept"
        await delivery.ack()
    await queue.close()


async def test_a_queue_whose_making_was_cut_short_is_made_again(server: Server) -> None:
    queue = RabbitQueue(server.url, CLOCK, IDS, namespace=IDS.new().hex, timeout_s=20.0)
    await queue.open()
    sending = asyncio.create_task(queue.send("q", Command("1", "do", b"first")))
    await asyncio.sleep(0.4)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    # It may end either way, but not as if it had been kept and were not.
    expected = [b"second"]
    try:
        await sending
        expected.insert(0, b"first")
    except QueueUnavailable:
        # It may be kept nevertheless, as the port says.
        pass
    async with asyncio.timeout(60):
        while True:
            with suppress(QueueUnavailable):
                await queue.send("q", Command("2", "do", b"second"))
                break
    bodies: list[bytes] = []
    async with asyncio.timeout(30), queue.consume("q") as worker:
        while b"second" not in bodies:
            delivery = await anext(worker)
            bodies.append(delivery.command.body)
            await delivery.ack()
    assert bodies[-len(expected) :] == expected
    await queue.close()


async def test_a_group_of_the_control_plane_survives_as_well(server: Server) -> None:
    plane = RabbitControlPlane(server.url, CLOCK, IDS, namespace=IDS.new().hex, timeout_s=20.0)
    await plane.open()
    async with plane.listen("a", ["symbol.updated"]):
        pass
    notice = Command("1", "symbol.updated", repr(SymbolUpdated(instrument("BTC-USDT"))).encode())
    await plane.publish([notice])
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(30), plane.listen("a", ["symbol.updated"]) as deliveries:
        delivery = await anext(deliveries)
        assert delivery.command.body == notice.body
        await delivery.ack()
    await plane.close()
