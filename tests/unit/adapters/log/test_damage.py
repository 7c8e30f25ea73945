"""A damaged page: said once, with its code, and everything else is still read."""

from pathlib import Path

import pytest

from candlewick.adapters._sqlite.logfile import Cursor, LogFile, WriteRequest
from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import LogCorrupt, Record
from candlewick.testing.conformance.log_harness import SINGLE, TOPICS, new

COUNT = 400


async def _filled(folder: Path, size: int) -> None:
    log = SqliteEventLog(folder, SystemClock(), topics=TOPICS)
    await log.open()
    producer = await log.producer("p")
    for at in range(0, COUNT, 50):
        await producer.send([new("a:b", b"#%06d#" % i + b"v" * size, SINGLE) for i in range(at, at + 50)])
    await log.close()


async def _salvaged(log: SqliteEventLog) -> tuple[list[Record], list[LogCorrupt]]:
    reader = await log.consumer([SINGLE.name], group=None, member="r", start="oldest")
    records: list[Record] = []
    faults: list[LogCorrupt] = []
    while True:
        try:
            found = await reader.poll(timeout_s=0)
        except LogCorrupt as error:
            faults.append(error)
            assert len(faults) < COUNT
            continue
        if not found:
            return records, faults
        records += found


@pytest.mark.parametrize("size", [100, 9_000], ids=["rows in a page", "rows over pages"])
async def test_one_flipped_byte_in_a_value_is_seen_and_costs_one_record(tmp_path: Path, size: int) -> None:
    await _filled(tmp_path, size)
    path = tmp_path / "log.db"
    content = bytearray(path.read_bytes())
    at = content.index(b"#000123#") + 5
    content[at] ^= 0x01
    path.write_bytes(content)
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS)
    await log.open()
    assert await log.check() is None
    records, faults = await _salvaged(log)
    assert [fault.code for fault in faults] == ["LOG_CORRUPT"]
    assert len(records) == COUNT - 1
    values = [int((record.value or b"")[1:7]) for record in records]
    assert values == [i for i in range(COUNT) if i != 123]
    assert (await log.check() or "").startswith("LOG_CORRUPT: ")
    assert len(await log.verify()) == 1
    assert await (await log.producer("p")).send([new("a:b", b"goes on", SINGLE)])
    await log.close()


async def test_a_page_of_noise_costs_only_its_rows(tmp_path: Path) -> None:
    await _filled(tmp_path, 300)
    path = tmp_path / "log.db"
    content = bytearray(path.read_bytes())
    page = content.index(b"#000200#") // 4096
    lost = sum(content[page * 4096 : page * 4096 + 4096].count(b"#%06d#" % i) for i in range(COUNT))
    content[page * 4096 : page * 4096 + 4096] = b"\xee" * 4096
    path.write_bytes(content)
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS)
    await log.open()
    records, faults = await _salvaged(log)
    values = [int((record.value or b"")[1:7]) for record in records]
    assert faults
    assert values == sorted(set(values))
    assert len(values) == COUNT - lost, f"a page held {lost} rows"
    assert values[-1] == COUNT - 1
    assert await log.verify()
    await log.close()


async def test_damage_at_the_end_of_an_epoch_costs_nothing_of_the_next(tmp_path: Path) -> None:
    """The next epoch's ids begin 2**36 further on."""
    await _filled(tmp_path, 300)
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS)
    await log.open()
    await log.abandon()
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS)
    await log.open()
    producer = await log.producer("p")
    await producer.send([new("a:b", b"#%06d#" % i + b"w" * 300, SINGLE) for i in range(COUNT, 2 * COUNT)])
    await log.close()
    path = tmp_path / "log.db"
    content = bytearray(path.read_bytes())
    page = content.rindex(b"#%06d#" % (COUNT - 30)) // 4096
    lost = {i for i in range(2 * COUNT) if b"#%06d#" % i in content[page * 4096 : page * 4096 + 4096]}
    content[page * 4096 : page * 4096 + 4096] = b"\xee" * 4096
    path.write_bytes(content)
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS)
    await log.open()
    records, faults = await _salvaged(log)
    values = [int((record.value or b"")[1:7]) for record in records]
    assert faults
    assert lost
    assert values == [i for i in range(2 * COUNT) if i not in lost]
    await log.close()


def test_a_damaged_index_is_read_past(tmp_path: Path) -> None:
    """Far behind the end rows are found by the index of partitions; without it by a scan."""
    log = LogFile(tmp_path, SystemClock(), topics=TOPICS)
    log.open()
    number = log.number(SINGLE.name, "a:b")
    for _ in range(20):
        log.write(WriteRequest(appends=[(number, "a:b", b"", b"x" * 40)] * 1_000))
    connection = log.connect()
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'record_of_log'").fetchone()
    connection.close()
    log.close()
    with (tmp_path / "log.db").open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xee" * 4096)
    log = LogFile(tmp_path, SystemClock(), topics=TOPICS)
    log.open()
    connection = log.connect()
    cursor = Cursor({number: 0})
    with pytest.raises(LogCorrupt):
        cursor.read(connection, 500, 4 << 20)
    count = 0
    while rows := cursor.read(connection, 500, 4 << 20):
        count += len(rows)
    assert count == 20_000
    connection.close()
    log.abandon()


async def test_a_file_that_is_no_log_is_refused_with_the_code(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"not a database at all, " * 500)
    log = SqliteEventLog(tmp_path, SystemClock(), topics=TOPICS)
    with pytest.raises(LogCorrupt) as refused:
        await log.open()
    assert refused.value.code == "LOG_CORRUPT"
    assert (tmp_path / "log.db").read_bytes().startswith(b"not a database"), "it is left for its owner to look at"
