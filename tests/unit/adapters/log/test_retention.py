"""What leaves the log by size, and that the file shrinks with it; groups and readers over the hole."""

from pathlib import Path

import pytest

from candlewick.adapters.log.sqlite import LogOptions, SqliteEventLog
from candlewick.kernel.system import SystemClock
from candlewick.testing.conformance.log_harness import (
    COMPACT,
    EVENTS,
    OTHER,
    TOPICS,
    everything,
    last_places,
    new,
    take,
)

BOUND = 2_000_000


@pytest.mark.slow
async def test_oldest_leave_until_the_log_fits_and_the_file_shrinks(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS, options=LogOptions(retention_bytes=BOUND))
    await log.open()
    producer = await log.producer("p")
    await producer.send([new("a:b", b"kept", COMPACT)])
    for i in range(40):
        topic = EVENTS if i % 2 else OTHER
        await producer.send([new(f"s:{k}", b"%d" % i + b"x" * 20_000, topic) for k in range(40)])
    before = (tmp_path / "log.db").stat().st_size + (tmp_path / "log.db-wal").stat().st_size
    left = await log.expire(SystemClock().now_ns())
    assert left > 1_000
    states = await log.describe()
    assert BOUND * 0.8 < sum(state.bytes for state in states) <= BOUND
    records = await everything(log, EVENTS) + await everything(log, OTHER)
    assert len(records) + left == 1_600
    assert min(int((r.value or b"").rstrip(b"x")) for r in records) >= 37, "oldest first, over all topics"
    assert [r.value for r in await everything(log, COMPACT)] == [b"kept"], "a compacted topic does not age"
    counted = {state.name: (state.records, state.bytes) for state in states}
    assert counted[EVENTS.name][0] == sum(r.topic == EVENTS.name for r in records)
    await log.close()
    after = (tmp_path / "log.db").stat().st_size
    print(f"{before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
    assert after < before * 0.7


async def test_a_group_whose_records_left_goes_on_with_the_oldest_kept(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS, options=LogOptions(retention_bytes=100_000))
    await log.open()
    producer = await log.producer("p")
    await producer.send([new("a:b", b"%03d" % i + b"x" * 1_000) for i in range(50)])
    member = await log.consumer([EVENTS.name], group="g", member="a", start="oldest")
    first = (await take(member, 5, max_records=5, surplus_s=0))[:5]
    await member.commit(last_places(first))
    await member.close()
    await producer.send([new("a:b", b"%03d" % i + b"x" * 1_000) for i in range(50, 200)])
    left = await log.expire(SystemClock().now_ns())
    assert left > 50
    member = await log.consumer([EVENTS.name], group="g", member="a", start="oldest")
    rest = await take(member, 200 - left)
    assert [int((r.value or b"")[:3]) for r in rest] == list(range(left, 200))
    await log.close()


async def test_a_running_reader_is_not_disturbed_by_what_leaves_behind_it(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS, options=LogOptions(retention_bytes=300_000))
    await log.open()
    producer = await log.producer("p")
    reader = await log.consumer([EVENTS.name], group=None, member="r", start="oldest")
    got: list[int] = []
    for i in range(100):
        await producer.send([new(f"s:{k}", b"%d" % i + b"x" * 500) for k in range(20)])
        got += [int((r.value or b"").rstrip(b"x")) for r in await reader.poll()]
        if i % 10 == 9:
            await log.expire(SystemClock().now_ns())
    assert sorted(got) == [i for i in range(100) for _ in range(20)]
    await log.close()
