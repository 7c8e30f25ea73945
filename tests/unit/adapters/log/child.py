"""A process that writes, reads or waits, for tests that kill it or run several on one data dir. Speaks JSON lines."""

import asyncio
import json
import sys
import time
from pathlib import Path

from candlewick.adapters.log.sqlite import LogOptions, SqliteEventLog
from candlewick.kernel.system import SystemClock
from candlewick.testing.conformance.log_harness import EVENTS, OTHER, TOPICS, last_places, new


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def write(log: SqliteEventLog, name: str, count: int) -> None:
    """Send ``count`` numbered records in growing calls; say each number once it was acknowledged."""
    producer = await log.producer(name)
    say(ready=True)
    at = 0
    while at < count:
        size = 1 + at % 7
        await producer.send([new(f"venue:{name}", b"%d" % i + b"x" * 500) for i in range(at, at + size)])
        at += size
        say(kept=at)


async def work(log: SqliteEventLog, name: str) -> None:
    """Turn every record of one topic into one of another, in transactions with the positions."""
    producer = await log.producer(name, transactional_id=name)
    consumer = await log.consumer([EVENTS.name], group="work", member=name, start="oldest")
    say(ready=True)
    while True:
        records = await consumer.poll(max_records=11, timeout_s=0.2)
        if not records:
            say(idle=True)
            continue
        async with producer.transaction() as transaction:
            transaction.send([new(record.key, record.value, OTHER) for record in records])
            transaction.advance(consumer, last_places(records))
        say(worked=len(records))


async def read(log: SqliteEventLog, count: int) -> None:
    """Read ``count`` records as they come; say how late each poll was and what came."""
    reader = await log.consumer([EVENTS.name], group=None, member="r", start="oldest")
    say(ready=True)
    got: dict[str, list[int]] = {}
    late: list[int] = []
    total = 0
    while total < count:
        records = await reader.poll(timeout_s=5.0)
        now = time.time_ns()
        for record in records:
            got.setdefault(record.key, []).append(int((record.value or b"").rstrip(b"x")))
            late.append(now - record.ts_append)
        total += len(records)
    say(got=got, late=late)


async def idle(log: SqliteEventLog, seconds: float) -> None:
    """Wait in poll with a shared and a broadcast consumer; say the processor time it took."""
    consumers = [
        await log.consumer([EVENTS.name], group=group, member="m", start="newest") for group in (None, f"g{seconds}")
    ]
    for consumer in consumers:
        await consumer.poll(timeout_s=0.1)
    begin = time.process_time()
    await asyncio.gather(*[consumer.poll(timeout_s=seconds) for consumer in consumers])
    say(cpu=(time.process_time() - begin) / seconds)


async def main() -> None:
    verb, folder, *rest = sys.argv[1:]
    log = SqliteEventLog(Path(folder), SystemClock(), topics=TOPICS, options=LogOptions(lease_s=1.0))
    await log.open()
    if verb == "write":
        await write(log, rest[0], int(rest[1]))
    elif verb == "work":
        await work(log, rest[0])
    elif verb == "read":
        await read(log, int(rest[0]))
    elif verb == "idle":
        await idle(log, float(rest[0]))
    await log.close()


if __name__ == "__main__":
    asyncio.run(main())
