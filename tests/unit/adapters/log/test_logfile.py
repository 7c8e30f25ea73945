"""The synchronous core: cursors over many partitions, requests that fail alone, waiting, time marks."""

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from candlewick.adapters._sqlite import reader
from candlewick.adapters._sqlite.logfile import Cursor, LogFile, LogOptions, Positions, WriteRequest
from candlewick.contracts.topics import Topic, UnknownTopic
from candlewick.kernel.errors import Conflict
from candlewick.kernel.system import SystemClock
from candlewick.ports.log import LogUnavailable, RecordTooLarge
from candlewick.testing.conformance.log_harness import EVENTS, OTHER, SINGLE, TOPICS

SEED = 7
STATE = """INSERT INTO stream_state (operator, log, key, hot) VALUES (?, ?, ?, ?)
    ON CONFLICT (operator, log, key) DO UPDATE SET hot = excluded.hot"""


class SteppedClock(SystemClock):
    """Wall time as set."""

    now = 1_700_000_000_000_000_000

    def now_ns(self) -> int:
        return self.now


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def log(tmp_path: Path, clock: SteppedClock) -> Iterator[LogFile]:
    log = LogFile(tmp_path, clock, topics=TOPICS)
    log.open()
    yield log
    log.close()


@pytest.fixture
def connection(log: LogFile) -> Iterator[sqlite3.Connection]:
    connection = log.connect()
    yield connection
    connection.close()


@pytest.mark.slow
def test_cursors_give_every_row_once_in_commit_order(log: LogFile, connection: sqlite3.Connection) -> None:
    """Near and far from the end, over any choice of partitions, moved about at random: equal to a plain list."""
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    logs = [*log.numbers(EVENTS.name), *log.numbers(OTHER.name), *log.numbers(SINGLE.name)]
    rows: list[tuple[int, int]] = []
    for _ in range(60):
        # Stretches of one partition alone make the others sparse.
        some = rng.choice([logs, logs[:1], logs[3:5]])
        appends = [(rng.choice(some), "k", b"", b"x" * rng.randrange(200)) for _ in range(300)]
        written = log.write(WriteRequest(appends=appends))
        rows += [(written.first + i, append[0]) for i, append in enumerate(appends)]
    for _ in range(25):
        places = {n: rng.choice([0, rng.choice(rows)[0], rows[-50][0]]) for n in rng.sample(logs, rng.randrange(1, 8))}
        cursor = Cursor(places)
        for _ in range(rng.randrange(4)):
            for row in cursor.read(connection, rng.randrange(1, 900), 1 << 20):
                assert row.offset > places[row.log]
                places[row.log] = row.offset
            back = rng.choice(list(places))
            places[back] = rng.choice(rows)[0]
            cursor.move({back: places[back]})
            if len(places) > 1 and rng.random() < 0.3:
                gone = rng.choice(list(places))
                del places[gone]
                cursor.drop([gone])
        expected = [(offset, n) for offset, n in rows if n in places and offset > places[n]]
        found: list[tuple[int, int]] = []
        while some_rows := cursor.read(connection, rng.randrange(1, 700), rng.randrange(1_000, 1 << 20)):
            found += [(row.offset, row.log) for row in some_rows]
        assert found == expected


def test_one_request_is_all_or_nothing_and_fails_alone(log: LogFile, connection: sqlite3.Connection) -> None:
    number = log.number(SINGLE.name, "a:b")

    def request(value: bytes, sql: str = STATE) -> WriteRequest:
        return WriteRequest(
            appends=[(number, "a:b", b"", value)],
            positions=[Positions("g", {number: len(value)})],
            statements=[(sql, [("candles", number, "a:b", value)])],
        )

    held = threading.Event()
    blocker = log.submit(WriteRequest(run=lambda _: held.wait(5)))
    futures = [
        log.submit(request(b"1")),
        log.submit(request(b"22", "INSERT INTO stream_state VALUES (?, ?, ?, NULL) -- ?")),
        log.submit(request(b"333")),
    ]
    held.set()
    blocker.result()
    assert futures[0].result().first > 0
    with pytest.raises(sqlite3.Error):
        futures[1].result()
    futures[2].result()
    assert [row.value for row in Cursor({number: 0}).read(connection, 10, 1 << 20)] == [b"1", b"333"]
    assert log.committed("g", [number]) == {number: 3}
    assert connection.execute("SELECT hot FROM stream_state").fetchall() == [(b"333",)]


def test_a_full_queue_holds_submitters_back(log: LogFile, tmp_path: Path) -> None:
    small = LogFile(tmp_path / "small", SystemClock(), topics=TOPICS, options=LogOptions(queue_bytes=100_000))
    small.open()
    number = small.number(SINGLE.name, "a:b")
    held = threading.Event()
    small.submit(WriteRequest(run=lambda _: held.wait(10)))
    taken = 0

    def run() -> None:
        nonlocal taken
        for _ in range(50):
            small.submit(WriteRequest(appends=[(number, "a:b", b"", b"x" * 10_000)]))
            taken += 1

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.2)
    assert taken <= 10, "the bound is 100 kB"
    assert small.offer(WriteRequest(appends=[(number, "a:b", b"", b"x" * 10_000)])) is None
    held.set()
    thread.join(10)
    assert taken == 50
    small.close()
    with pytest.raises(LogUnavailable):
        small.submit(WriteRequest())


def test_wait_ends_with_a_commit_of_this_or_another_process(log: LogFile, tmp_path: Path) -> None:
    other = LogFile(tmp_path, SystemClock(), topics=TOPICS)
    other.open()
    for writer in (log, other):
        seen = log.news()
        request = WriteRequest(appends=[(writer.number(EVENTS.name, "a:b"), "a:b", b"", b"")])
        timer = threading.Timer(0.1, writer.write, [request])
        timer.start()
        begin = time.monotonic()
        assert log.wait(seen, 5.0) != seen
        assert time.monotonic() - begin < 1.0
        timer.join()
    # It may be told twice of one commit, but not for ever.
    for _ in range(20):
        seen = log.news()
        if log.wait(seen, 0.1) == seen:
            break
    else:
        raise AssertionError("a wait without commits must sleep")
    other.close()


def test_seek_by_time_is_exact_when_the_clock_steps_back(
    log: LogFile, clock: SteppedClock, connection: sqlite3.Connection
) -> None:
    rng = random.Random(SEED)
    number = log.number(SINGLE.name, "a:b")
    rows: list[tuple[int, int]] = []
    for _ in range(300):
        clock.now += rng.choice([1, 10**6, 4 * 10**8, 3 * 10**9, -2 * 10**9])
        written = log.write(WriteRequest(appends=[(number, "a:b", b"", b"")]))
        rows.append((written.ts_append, written.first))
    for ts, _ in rows:
        for moment in (ts - 1, ts, ts + 1):
            expected = next((offset for at, offset in rows if at >= moment), rows[-1][1] + 1)
            assert reader.before_time(connection, moment) == expected - 1


def test_names_and_sizes_are_checked(log: LogFile) -> None:
    with pytest.raises(UnknownTopic):
        log.number("no.such", "a:b")
    with pytest.raises(UnknownTopic):
        log.partition_number(SINGLE.name, 1)
    number = log.partition_number(EVENTS.name, 5)
    assert log.place(number) == (EVENTS.name, 5)
    with pytest.raises(RecordTooLarge):
        log.submit(WriteRequest(appends=[(number, "a:b", b"", b"x" * (16 << 20))]))


def test_a_topic_keeps_its_partition_count(log: LogFile, tmp_path: Path) -> None:
    """Law 9."""
    grown = LogFile(tmp_path, SystemClock(), topics=[Topic(SINGLE.name, "suite", (), 2, 0, "")])
    with pytest.raises(Conflict) as refused:
        grown.open()
    assert "was 2" in str(refused.value)
    assert log.write(WriteRequest(appends=[(log.number(SINGLE.name, "a:b"), "a:b", b"", b"")])).first
