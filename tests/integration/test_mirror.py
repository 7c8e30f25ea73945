"""The mirror tells every group what the compacted topics say: nothing lost, the newest word last, repeats dropped."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from candlewick.app.runtime.mirror import GROUP, notice_of
from candlewick.app.runtime.mirror_listener import event_of
from candlewick.contracts import codec
from candlewick.contracts.base import Message
from candlewick.contracts.market import Instrument, MarketUpdated, SymbolAdded, SymbolDeleted
from candlewick.contracts.topics import MARKET_MARKETS, MARKET_SYMBOLS, dead_letters
from candlewick.kernel.errors import CandlewickError, Retryable
from candlewick.ports.log import EventLog, NewRecord, Position, Record
from candlewick.ports.queue import Command
from candlewick.ports.runtime import Event
from candlewick.testing import servers
from candlewick.testing.link import Link
from tests.mirror import (
    IDS,
    House,
    apply,
    instrument,
    life_of_symbols,
    mirror,
    opened,
    record,
    running,
    send,
    state_after,
    until,
)

URL = servers.address("rabbitmq")
pytestmark = pytest.mark.skipif(URL is None, reason=servers.why_not("rabbitmq") or "there")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(str(URL), tmp_path / "log")
    house.folder.mkdir()
    yield house
    await house.close()


async def test_every_group_gets_what_the_log_holds(house: House) -> None:
    said = life_of_symbols(12, 4)
    ears = [await house.ear("a"), await house.ear("b")]
    ears[1].plane = ears[0].plane
    async with opened(house.log()) as log:
        await send(log, said[:20])
        # The second group hears deletions alone.
        async with running(ears[0].listener(), ears[1].listener(("symbol.deleted",))):
            await asyncio.sleep(0.3)
            async with running(mirror(log, await house.plane())):
                await send(log, said[20:])
                await until(lambda: len(ears[0].heard) == len(said))
                await until(lambda: len(ears[1].heard) == sum(isinstance(one, SymbolDeleted) for one in said))
        assert ears[0].state == state_after(said)
        assert all(isinstance(event.message, SymbolDeleted) for event in ears[1].heard)
        for key in {message.key for message in said}:
            heard = [event.message for event in ears[0].heard if event.envelope.key == key]
            assert heard == [message for message in said if message.key == key]
        # What was heard is the log's own record, byte for byte.
        for event in ears[0].heard:
            after = Position(event.position.epoch, event.position.offset - 1)
            kept = (await log.read_at(event.topic, event.partition, after, 1))[0]
            assert codec.encode_envelope(event.envelope) == kept.header
            assert codec.encode(event.message) == kept.value


async def test_what_is_new_of_a_market_is_told_beside_the_symbols(house: House) -> None:
    ears = [await house.ear("a"), await house.ear("b")]
    first = MarketUpdated("binance", "open", 3, 2, ("BTC-USDT",), ())
    second = MarketUpdated("binance", "halted", 3, 0, (), ())
    wrong = MarketUpdated("binance", "open", 3, 0, (), ())
    said: list[Message] = [first, SymbolAdded(instrument("BTC-USDT")), wrong, second]
    async with opened(house.log()) as log:
        async with running(ears[0].listener(), ears[1].listener(("market.updated",))):
            await asyncio.sleep(0.3)
            async with running(mirror(log, await house.plane())):
                await send(log, said)
                await until(lambda: len(ears[0].heard) == 3 and len(ears[1].heard) == 2)
        (letter,) = await log.read_at(dead_letters(MARKET_MARKETS.name), 0, None, 10)
    assert [event.message for event in ears[1].heard] == [first, second]
    assert codec.decode(codec.decode_envelope(letter.header).type, letter.value or b"") == wrong
    assert "status must be halted with 0 trading" in codec.decode_envelope(letter.header).producer


async def test_what_is_said_twice_is_handed_over_once(house: House) -> None:
    ear = await house.ear("a")
    added, event_id = SymbolAdded(instrument("BTC-USDT")), IDS.new()
    async with opened(house.log()) as log:
        producer = await log.producer("market")
        plane = await house.plane()
        async with running(ear.listener(), mirror(log, plane)):
            await asyncio.sleep(0.3)
            # A relay that was killed says it again; so does a mirror, under the same place of the log.
            await producer.send([record(added, event_id=event_id), record(added, event_id=event_id)])
            await until(lambda: len(ear.heard) == 1)
            place = (await log.read_at(MARKET_SYMBOLS.name, ear.heard[0].partition, None, 1))[0]
            await producer.send([record(SymbolDeleted("binance", "BTC-USDT"))])
            await until(lambda: len(ear.heard) == 2)
            # Also one that was held up and comes behind a newer word.
            await plane.publish([notice_of(place, MARKET_SYMBOLS)])
            await producer.send([record(SymbolAdded(instrument("ETH-USDT")))])
            await until(lambda: len(ear.heard) == 3)
    assert list(ear.state) == ["binance:ETH-USDT"]


async def test_a_failing_receiver_keeps_the_order(house: House) -> None:
    """What may pass is waited out; what does not, goes to the dead letters with its code, and the rest goes on."""
    ear = await house.ear("a")
    failures = iter([Retryable("busy"), Retryable("busy"), None, ValueError("no such thing")])

    async def before(_: Event) -> None:
        if (failure := next(failures, None)) is not None:
            raise failure

    ear.before = before
    said: list[Message] = [SymbolAdded(instrument(f"S{one}-USDT")) for one in range(5)]
    async with opened(house.log()) as log:
        async with running(ear.listener()):
            await asyncio.sleep(0.3)
            async with running(mirror(log, await house.plane())):
                await send(log, said)
                await until(lambda: len(ear.heard) == 4)
        ((letter, reason),) = await ear.plane.dead("a")
    assert reason == "HANDLER_FAILED: no such thing"
    assert event_of(letter).message in said
    assert event_of(letter).message not in [event.message for event in ear.heard]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (SymbolAdded(instrument("BTC-USDT", price_tick="-1")), "BAD_CONTROL_MESSAGE: price_tick of BTC-USDT must be a"),
        (SymbolAdded(instrument("BTC-USDT", size_scale=40)), "size_scale of BTC-USDT must be from 0 to 18, was 40"),
        (SymbolDeleted("binance", "BTC/USDT"), "symbol must be BASE-QUOTE, was 'BTC/USDT'"),
        (SymbolDeleted("", "BTC-USDT"), "exchange must be a lower-case name, was ''"),
    ],
)
async def test_what_cannot_be_goes_to_the_dead_letters_of_the_log(house: House, broken: Message, says: str) -> None:
    ear = await house.ear("a")
    sound = SymbolAdded(instrument("ETH-USDT"))
    async with opened(house.log()) as log:
        producer = await log.producer("market")
        garbage = NewRecord(MARKET_SYMBOLS.name, sound.key, b"\xff", record(sound).header, 1)
        other_key = record(sound, key="binance:XRP-USDT")
        deletion = NewRecord(MARKET_SYMBOLS.name, sound.key, None, b"", 1)
        async with running(ear.listener()):
            await asyncio.sleep(0.3)
            async with running(mirror(log, await house.plane())):
                await producer.send([record(broken), garbage, other_key, deletion, record(sound)])
                await until(lambda: len(ear.heard) == 1)
        letters = []
        async with asyncio.timeout(10):
            while len(letters) < 3:
                letters = await _everything(log, dead_letters(MARKET_SYMBOLS.name))
    assert [event.message for event in ear.heard] == [sound]
    reasons = [codec.decode_envelope(letter.header).producer for letter in letters]
    assert any(says in reason for reason in reasons), reasons
    assert any("BAD_PAYLOAD" in reason for reason in reasons)
    assert any("key of SymbolAdded must be 'binance:ETH-USDT'" in reason for reason in reasons)


async def _everything(log: EventLog, topic: str) -> list[Record]:
    found: list[Record] = []
    with suppress(CandlewickError):
        for partition in range(MARKET_SYMBOLS.partitions):
            with suppress(CandlewickError):
                found += await log.read_at(topic, partition, None, 100)
    return found


async def test_a_listener_buries_what_others_publish(house: House) -> None:
    """Anything may write to an exchange; nothing that is not ours reaches a handler."""
    ear, added = await house.ear("a"), SymbolAdded(instrument("BTC-USDT"))
    async with opened(house.log()) as log:
        await send(log, [added])
        place = next(iter(await _everything(log, MARKET_SYMBOLS.name)))
    sound = notice_of(place, MARKET_SYMBOLS)
    foreign = [
        Command("1", "symbol.added", b"hello"),
        Command(sound.id, "symbol.deleted", sound.body, sound.headers),
        Command("other", "symbol.added", sound.body, sound.headers),
        Command(sound.id, "symbol.added", b"\xff\xff", sound.headers),
        Command(sound.id, "symbol.added", sound.body, {**sound.headers, "position": "soon"}),
    ]
    async with running(ear.listener()):
        await asyncio.sleep(0.3)
        await ear.plane.publish([*foreign, sound])
        await until(lambda: len(ear.heard) == 1)
    letters = await ear.plane.dead("a")
    assert [letter.id for letter, _ in letters] == [one.id for one in foreign]
    assert {reason.partition(":")[0] for _, reason in letters} == {"BAD_CONTROL_MESSAGE", "BAD_PAYLOAD"}


async def test_of_a_group_one_at_a_time_listens_and_the_next_takes_over(house: House) -> None:
    ears = [await house.ear("a", ack_timeout_s=30.0) for _ in range(2)]
    said = life_of_symbols(6, 6)
    async with opened(house.log()) as log, running(mirror(log, await house.plane())):
        first = asyncio.create_task(ears[0].listener().run())
        await asyncio.sleep(0.3)
        async with running(ears[1].listener()):
            await asyncio.sleep(0.3)
            await send(log, said[:15])
            await until(lambda: len(ears[0].heard) == 15)
            assert not ears[1].heard
            first.cancel()
            await asyncio.wait([first])
            await send(log, said[15:])
            await until(lambda: len(ears[1].heard) == len(said) - 15)
    state: dict[str, Instrument] = {}
    for event in (*ears[0].heard, *ears[1].heard):
        apply(state, event.message)
    assert state == state_after(said)


async def test_the_mirror_waits_for_the_server_and_loses_nothing(house: House) -> None:
    link = Link(house.url)
    await link.open()
    ear = await house.ear("a")
    said = life_of_symbols(10, 5)
    async with opened(house.log()) as log, running(ear.listener()):
        await asyncio.sleep(0.3)
        part = mirror(log, await house.plane(link.url, timeout_s=0.5))
        async with running(part):
            await send(log, said[:10])
            await until(lambda: len(ear.heard) == 10)
            await link.cut()
            await send(log, said[10:])
            await until(lambda: part.check() is not None)
            assert "QUEUE" not in (part.check() or "")
            await link.open()
            await until(lambda: len(ear.heard) == len(said))
            await until(lambda: part.check() is None)
    assert ear.state == state_after(said)
    await link.cut()


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.adapters.queue.rabbitmq import RabbitControlPlane
from candlewick.app.runtime.mirror import ControlMirror
from candlewick.kernel.logging import logger
from candlewick.kernel.metrics import Metrics
from candlewick.kernel.system import SystemClock, SystemIds

url, namespace, folder, step, count = sys.argv[1:]
left = int(count)

def on_step(name):
    global left
    left -= name == step
    if name == step and left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    clock = SystemClock()
    plane = RabbitControlPlane(url, clock, SystemIds(), namespace=namespace, settle_s=0.0)
    log = SqliteEventLog(Path(folder), clock)
    await plane.open()
    await log.open()
    await ControlMirror(log=log, plane=plane, member="m", clock=clock, metrics=Metrics(), logger=logger("mirror"),
                        on_step=on_step).run()

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("step", ["published", "committed"])
async def test_a_mirror_killed_at_any_step_leaves_receivers_with_the_same_state(house: House, step: str) -> None:
    """kill -9 between confirm and commit, again and again: everything comes, the newest word on a key comes last."""
    said = life_of_symbols(8, 8)
    ear, twin = await house.ear("a"), await house.ear("b")
    async with opened(house.log()) as log, running(ear.listener(), twin.listener()):
        await asyncio.sleep(0.3)
        for kill in range(3):
            await send(log, said[kill * 24 : (kill + 1) * 24])
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CHILD, house.url, house.namespace, str(house.folder), step, "1"
            )
            async with asyncio.timeout(30):
                assert await child.wait() == -signal.SIGKILL
        consumer = await log.consumer([MARKET_SYMBOLS.name], group=GROUP, member="m")
        left = sum([len(await consumer.poll(timeout_s=0.3)) for _ in range(3)])
        await consumer.close()
        assert bool(left) == (step == "published"), "killed before the commit, the group's position must not move"
        async with running(mirror(log, await house.plane())):
            await until(lambda: len({event.envelope.id for event in ear.heard}) == len(said))
            await until(lambda: len({event.envelope.id for event in twin.heard}) == len(said))
    assert ear.state == twin.state == state_after(said)
    assert len(ear.heard) == len(said), "a repeat was handed over"
