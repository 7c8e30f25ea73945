"""Opening and closing beside running calls; what a closed log says."""

import asyncio
import threading
from pathlib import Path

import pytest

from candlewick.adapters._sqlite.logfile import LogFile
from candlewick.adapters.log.sqlite import LogOptions, SqliteEventLog
from candlewick.kernel.errors import Fenced, Rejected
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import LogUnavailable, NotAssigned, Position
from candlewick.testing.conformance.log_harness import EVENTS, SINGLE, TOPICS, everything, new, take


async def opened(folder: Path, options: LogOptions | None = None) -> SqliteEventLog:
    log = SqliteEventLog(folder, SystemClock(), topics=TOPICS, options=options)
    await log.open()
    return log


async def test_close_ends_waiting_polls_and_all_threads(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    log = await opened(tmp_path)
    polls = []
    for group in (None, "g"):
        consumer = await log.consumer([EVENTS.name], group=group, member="m")
        polls.append(asyncio.create_task(consumer.poll(timeout_s=30)))
    await asyncio.sleep(0.2)
    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert {"log-writer", "log-wake", "log-leases"} <= names, f"threads are named, was {names}"
    await asyncio.wait_for(log.close(), 5)
    assert await asyncio.gather(*polls) == [[], []]
    left = {thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("log-")}
    assert left == set()
    with pytest.raises(LogUnavailable):
        await log.producer("p")
    await log.close()


async def test_closing_refuses_what_waits_for_room_and_keeps_what_was_taken(tmp_path: Path) -> None:
    log = await opened(tmp_path, LogOptions(queue_bytes=50_000))
    producer = await log.producer("p")
    sends = [asyncio.create_task(producer.send([new("a:b", b"x" * 20_000, SINGLE)])) for _ in range(40)]
    await asyncio.sleep(0)
    await log.close()
    results = await asyncio.gather(*sends, return_exceptions=True)
    kept = sum(isinstance(result, list) for result in results)
    assert all(isinstance(result, list | LogUnavailable) for result in results), results
    log = await opened(tmp_path)
    assert len(await everything(log, SINGLE)) == kept
    await log.close()


async def test_durable_syncs_every_commit(tmp_path: Path) -> None:
    for durable, synchronous in ((False, 1), (True, 2)):
        log = LogFile(tmp_path / str(durable), SystemClock(), topics=TOPICS, options=LogOptions(durable=durable))
        log.open()
        assert log.outside(lambda c: c.execute("PRAGMA synchronous").fetchone()[0]) == synchronous
        log.close()


async def test_a_consumer_whose_seat_was_taken_is_fenced_for_good(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    old = await log.consumer([SINGLE.name], group="g", member="same")
    await old.poll(timeout_s=0.1)
    young = await log.consumer([SINGLE.name], group="g", member="same")
    await young.poll(timeout_s=0.1)
    assert young.assignment() == {(SINGLE.name, 0)}
    for _ in range(2):
        with pytest.raises(Fenced):
            await old.poll(timeout_s=20)
    assert young.assignment() == {(SINGLE.name, 0)}
    await log.close()


async def test_misuse_is_refused_with_what_to_do(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    producer = await log.producer("p")
    with pytest.raises(Rejected, match="transactional_id"):
        async with producer.transaction():
            pass
    reader = await log.consumer([EVENTS.name], group=None, member="r")
    with pytest.raises(NotAssigned):
        await reader.seek(SINGLE.name, 0, None)
    with pytest.raises(Rejected):
        await log.open()
    await log.close()


async def test_a_position_beyond_the_head_reads_everything_there_is(tmp_path: Path) -> None:
    """Known from a file that was replaced by an older or empty one."""
    log = await opened(tmp_path)
    await (await log.producer("p")).send([new("a:b", b"1", SINGLE)])
    reader = await log.consumer([SINGLE.name], group=None, member="r", start="newest")
    assert await reader.seek(SINGLE.name, 0, Position(9, (9 << 36) + 5)) is None
    assert len(await take(reader, 1)) == 1
    await log.close()
