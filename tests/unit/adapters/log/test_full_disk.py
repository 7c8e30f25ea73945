"""A full disk: StorageFull, nothing half written, nothing accepted lost, and on it goes when there is room."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from candlewick.adapters.log.sqlite import LogOptions, SqliteEventLog
from candlewick.kernel.errors import StorageFull
from candlewick.kernel.system import SystemClock
from candlewick.testing.conformance.log_harness import EVENTS, OTHER, TOPICS, everything, new


@pytest.mark.slow
async def test_a_full_log_refuses_whole_calls_and_recovers(tmp_path: Path) -> None:
    options = LogOptions(max_pages=400, retention_bytes=200_000)
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS, options=options)
    await log.open()
    producer = await log.producer("p", transactional_id="p")
    kept = 0

    async def fill() -> None:
        nonlocal kept
        for i in range(1_000):
            async with producer.transaction() as transaction:
                transaction.send([new("a:b", b"%d" % i + b"x" * 5_000), new("a:b", b"%d" % i, OTHER)])
            kept += 1

    with pytest.raises(StorageFull) as full:
        await fill()
    assert full.value.code == "STORAGE_FULL"
    assert 100 < kept < 400
    assert (await log.check() or "STORAGE_FULL").startswith("STORAGE_FULL")
    events, others = await everything(log, EVENTS), await everything(log, OTHER)
    assert len(events) == len(others) == kept, "both topics or neither"
    assert await log.expire(SystemClock().now_ns()) > 0, "retention by size makes room"
    await producer.send([new("a:b", b"after")])
    assert (await everything(log, EVENTS))[-1].value == b"after"
    assert await log.check() is None
    await log.close()


def test_a_quota_on_the_file_is_a_full_disk(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel refuse the write itself, in the WAL."""
    program = textwrap.dedent(
        """
        import resource, signal, sys
        from pathlib import Path
        from candlewick.adapters._sqlite.logfile import Cursor, LogFile, WriteRequest
        from candlewick.kernel.errors import StorageFull
        from candlewick.kernel.system import SystemClock
        from candlewick.testing.conformance.log_harness import SINGLE, TOPICS
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        log = LogFile(Path(sys.argv[1]), SystemClock(), topics=TOPICS); log.open()
        number = log.number(SINGLE.name, "a:b")
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, resource.RLIM_INFINITY))
        kept = 0
        try:
            while True:
                log.write(WriteRequest(appends=[(number, "a:b", b"", b"x" * 50_000)] * 4)); kept += 4
        except StorageFull as error:
            print(error.code)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        log.write(WriteRequest(appends=[(number, "a:b", b"", b"after")]))
        connection, cursor, found = log.connect(), Cursor({number: 0}), []
        while rows := cursor.read(connection, 500, 4 << 20):
            found += rows
        connection.close()
        assert len(found) == kept + 1, (len(found), kept)
        assert kept and found[-1].value == b"after"
        log.close()
        print("went on")
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=dict(os.environ),
    )
    assert done.stdout.split("\n")[:2] == ["STORAGE_FULL", "went on"], done.stdout + done.stderr
