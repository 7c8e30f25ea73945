"""The embedded stream runtime: poison, outputs' identity, shared work, and what its stats say."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from candlewick.adapters._sqlite.logfile import LogFile, LogOptions, WriteRequest
from candlewick.adapters.stream.sqlite import SqliteStreamRuntime
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope, Message
from candlewick.contracts.collector import Progress
from candlewick.contracts.operators import Output, Step
from candlewick.kernel.errors import Fatal
from candlewick.kernel.ids import derived_id, uuid7
from candlewick.kernel.system import SystemClock

RAW = "raw.market-data"
OPTIONS = LogOptions(lease_s=0.6)


class Count:
    """Counts messages per key in hot state, remembers each in cold, and answers each with itself."""

    name = "count"
    version = 3
    consumes = (RAW,)
    produces = ("raw.ticker",)

    def cold_keys(self, hot: bytes | None, message: Message) -> Sequence[bytes]:
        return [b"last"]

    def apply(self, hot: bytes | None, message: Message, cold: Mapping[bytes, bytes | None]) -> Step:
        assert isinstance(message, Progress)
        n = int.from_bytes(hot or b"", "little")
        assert cold[b"last"] == (None if n == 0 else b"%d" % n)
        if message.complete_through == 666:
            raise ValueError("cannot bear this one")
        if message.complete_through == 667:
            raise Fatal("nothing can go on")
        n += 1
        out = Progress(message.exchange, message.symbol, n, message.last_id, True)
        return Step(n.to_bytes(8, "little"), {b"last": b"%d" % n}, [Output("raw.ticker", out, n)], (), {"n": 1})


def _write(file: LogFile, messages: list[Progress], *, raw: bytes | None = None) -> None:
    appends = []
    for i, message in enumerate(messages):
        header = Envelope(uuid7(5, i), "Progress", 1, 2, message.key, "collector", correlation_id=UUID(int=i + 1))
        value = codec.encode(message) if raw is None else raw
        appends.append((file.number(RAW, message.key), message.key, codec.encode_envelope(header), value))
    file.write(WriteRequest(appends=appends))


def _progress(symbol: str, at: int) -> Progress:
    return Progress("x", symbol, at, at, True)


def _rows(folder: Path, topic: str) -> list[tuple[int, str, Envelope, bytes]]:
    sql = "SELECT id, key, header, value FROM record JOIN topic ON topic.topic = log >> 10 WHERE name = ? ORDER BY id"
    with sqlite3.connect(folder / "log.db") as connection:
        found = connection.execute(sql, (topic,)).fetchall()
    connection.close()
    return [(at, key, codec.decode_envelope(header), value) for at, key, header, value in found]


def _open(folder: Path) -> LogFile:
    file = LogFile(folder, SystemClock(), options=OPTIONS)
    file.open()
    return file


async def test_outputs_carry_derived_ids_and_their_cause(tmp_path: Path) -> None:
    file = _open(tmp_path)
    _write(file, [_progress("A-B", i) for i in range(3)])
    runtime = SqliteStreamRuntime(file, clock=SystemClock(), member="m")
    await runtime.start(Count(), on_failure=lambda _: None)
    await runtime.caught_up()
    assert runtime.stats().messages == 3
    assert runtime.stats().outputs == 3
    assert runtime.stats().counters == {"n": 3}
    await runtime.stop()
    sources = _rows(tmp_path, RAW)
    partition = file.number(RAW, "x:A-B") & 1023
    file.close()
    for ordinal, ((at, _, cause, _), (_, key, envelope, _)) in enumerate(
        zip(sources, _rows(tmp_path, "raw.ticker"), strict=True)
    ):
        assert key == envelope.key == "x:A-B"
        assert envelope.id == derived_id("count", 3, ((RAW, partition, at),), 0)
        assert envelope.causation_id == cause.id
        assert envelope.correlation_id == cause.correlation_id
        assert (envelope.ts_event, envelope.ts_recv, envelope.producer) == (ordinal + 1, 2, "stream")


async def test_poison_goes_to_the_dead_letters_and_its_key_goes_on(tmp_path: Path) -> None:
    file = _open(tmp_path)
    _write(file, [_progress("A-B", 1)])
    _write(file, [_progress("A-B", 2)], raw=b"\xff\xff")
    _write(file, [_progress("A-B", 666), _progress("A-B", 3), _progress("C-D", 4)])
    runtime = SqliteStreamRuntime(file, clock=SystemClock(), member="m")
    await runtime.start(Count(), on_failure=lambda _: None)
    await runtime.caught_up()
    assert runtime.stats().dead_letters == 2
    await runtime.stop()
    file.close()
    dead = _rows(tmp_path, f"{RAW}.dead-letters")
    assert [envelope.producer.split(":")[0] for _, _, envelope, _ in dead] == [
        "collector BAD_PAYLOAD",
        "collector OPERATOR_FAILED",
    ]
    assert dead[0][3] == b"\xff\xff"
    counts = [codec.decode("Progress", value) for *_, value in _rows(tmp_path, "raw.ticker")]
    assert [(c.key, c.complete_through) for c in counts if isinstance(c, Progress)] == [
        ("x:A-B", 1),
        ("x:A-B", 2),
        ("x:C-D", 1),
    ]


async def test_a_fatal_fault_of_the_operator_is_reported_and_nothing_of_it_committed(tmp_path: Path) -> None:
    file = _open(tmp_path)
    _write(file, [_progress("A-B", 1), _progress("A-B", 667)])
    failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    runtime = SqliteStreamRuntime(file, clock=SystemClock(), member="m")
    await runtime.start(Count(), on_failure=failed.set_result)
    assert isinstance(await asyncio.wait_for(failed, 10), Fatal)
    await runtime.stop()
    file.close()
    assert _rows(tmp_path, "raw.ticker") == []


async def test_state_goes_on_after_a_restart(tmp_path: Path) -> None:
    for life in range(3):
        file = _open(tmp_path)
        _write(file, [_progress("A-B", life + 1)] * 2)
        runtime = SqliteStreamRuntime(file, clock=SystemClock(), member="m")
        await runtime.start(Count(), on_failure=lambda _: None)
        await runtime.caught_up()
        await runtime.stop()
        file.close()
    counts = [codec.decode("Progress", value) for *_, value in _rows(tmp_path, "raw.ticker")]
    assert [c.complete_through for c in counts if isinstance(c, Progress)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
async def test_members_share_partitions_and_hand_them_over_without_losing_count(tmp_path: Path) -> None:
    symbols = [f"S{i}-B" for i in range(12)]
    files = [_open(tmp_path), _open(tmp_path)]
    random = np.random.default_rng(3)
    runtimes = [SqliteStreamRuntime(f, clock=SystemClock(), member=f"m{i}", max_records=5) for i, f in enumerate(files)]
    failures: list[BaseException] = []
    await runtimes[0].start(Count(), on_failure=failures.append)
    for step in range(40):
        _write(files[step % 2], [_progress(symbols[i], step + 1) for i in random.integers(0, 12, 6)])
        if step == 10:
            await runtimes[1].start(Count(), on_failure=failures.append)
        if step == 25:
            await asyncio.sleep(0.7)
        await asyncio.sleep(0.02)
    await runtimes[1].caught_up()
    shares = [r.stats().messages for r in runtimes]
    await runtimes[0].stop()
    _write(files[1], [_progress(s, 99) for s in symbols])
    await runtimes[1].caught_up()
    await runtimes[1].stop()
    for file in files:
        file.close()
    assert failures == []
    assert min(shares) > 0
    assert sum(shares) == 240
    seen: dict[str, list[int]] = {}
    for *_, value in _rows(tmp_path, "raw.ticker"):
        message = codec.decode("Progress", value)
        assert isinstance(message, Progress)
        seen.setdefault(message.key, []).append(message.complete_through)
    assert all(counts == list(range(1, len(counts) + 1)) for counts in seen.values())
    assert sum(len(counts) for counts in seen.values()) == 252


async def test_a_damaged_record_is_told_once_and_the_rest_is_worked(tmp_path: Path) -> None:
    file = _open(tmp_path)
    _write(file, [_progress("A-B", 7_000_001 + i) for i in range(3)])
    file.close()
    content = bytearray((tmp_path / "log.db").read_bytes())
    (value,) = [v for *_, v in _rows(tmp_path, RAW)][1:2]
    content[content.index(value) + len(value) - 1] ^= 0x01
    (tmp_path / "log.db").write_bytes(content)
    file = _open(tmp_path)
    troubles: list[BaseException] = []
    failures: list[BaseException] = []
    runtime = SqliteStreamRuntime(file, clock=SystemClock(), member="m")
    await runtime.start(Count(), on_failure=failures.append, on_trouble=troubles.append)
    await runtime.caught_up()
    await asyncio.sleep(0)
    assert runtime.stats().messages == 2
    assert [getattr(error, "code", "") for error in troubles] == ["LOG_CORRUPT"]
    assert failures == []
    await runtime.stop()
    file.close()
