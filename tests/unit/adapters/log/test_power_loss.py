"""Law 12 below the port: a WAL cut anywhere never leads to an offset given twice, nor to a torn record."""

import random
import shutil
from pathlib import Path

import pytest

from candlewick.adapters._sqlite.logfile import Cursor, LogFile, Positions, WriteRequest, position_of
from candlewick.kernel.system import SystemClock
from candlewick.testing.conformance.log_harness import SINGLE, TOPICS

SEED = 20
VALUE = b"v" * 3_000


def opened(folder: Path) -> LogFile:
    log = LogFile(folder, SystemClock(), topics=TOPICS)
    log.open()
    return log


def all_offsets(log: LogFile) -> list[int]:
    connection = log.connect()
    cursor = Cursor(dict.fromkeys(log.numbers(SINGLE.name), 0))
    found: list[int] = []
    while rows := cursor.read(connection, 500, 4 << 20):
        assert all(row.value == VALUE for row in rows)
        found += [row.offset for row in rows]
    connection.close()
    return found


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """A folder as it was while 40 commits were in the WAL, and the offsets that were acknowledged."""
    folder = tmp_path_factory.mktemp("live")
    log = opened(folder)
    number = log.number(SINGLE.name, "a:b")
    told: list[int] = []
    for _ in range(40):
        written = log.write(
            WriteRequest(
                appends=[(number, "a:b", b"h", VALUE)] * 3,
                positions=[Positions("g", {number: told[-1] if told else 0})],
            )
        )
        told += range(written.first, written.first + 3)
    image = tmp_path_factory.mktemp("image")
    for name in ("log.db", "log.db-wal"):
        shutil.copy(folder / name, image / name)
    log.close()
    return image, told


@pytest.mark.slow
def test_a_wal_cut_at_any_byte_gives_no_offset_twice(lost: tuple[Path, list[int]], tmp_path: Path) -> None:
    image, told = lost
    size = (image / "log.db-wal").stat().st_size
    rng = random.Random(SEED)
    cuts = sorted({0, 1, 31, 32, 33, size - 1, size, *[rng.randrange(size) for _ in range(40)]})
    print(f"seed {SEED}, WAL of {size} bytes, {len(cuts)} cuts")
    for cut in cuts:
        folder = tmp_path / str(cut)
        shutil.copytree(image, folder)
        with (folder / "log.db-wal").open("r+b") as wal:
            wal.truncate(cut)
        log = opened(folder)
        kept = all_offsets(log)
        assert kept == told[: len(kept)], f"cut at {cut}: what is left is a beginning"
        assert len(kept) % 3 == 0, f"cut at {cut}: a commit is whole or gone"
        number = log.number(SINGLE.name, "a:b")
        group = log.committed("g", [number])[number]
        assert group == (kept[-4] if len(kept) > 3 else 0), f"cut at {cut}: positions went with their records"
        first = log.write(WriteRequest(appends=[(number, "a:b", b"h", VALUE)])).first
        assert first > max(told), f"cut at {cut}: offset {first} was told before"
        assert position_of(first).epoch == 2
        log.close()


def test_a_second_loss_right_after_the_first_gives_no_offset_twice(
    lost: tuple[Path, list[int]], tmp_path: Path
) -> None:
    image, told = lost
    folder = tmp_path / "log"
    shutil.copytree(image, folder)
    (folder / "log.db-wal").unlink()
    seen = set(told)
    for epoch in range(2, 6):
        log = opened(folder)
        number = log.number(SINGLE.name, "a:b")
        first = log.write(WriteRequest(appends=[(number, "a:b", b"h", VALUE)] * 5)).first
        offsets = set(range(first, first + 5))
        assert position_of(first).epoch == epoch
        assert not offsets & seen
        assert first > max(seen)
        seen |= offsets
        log.abandon()
        # abandon() closes its connections, which saves the WAL; a power loss would not: the old main file comes back
        # only as far as its sync points, which is what open() made one of.
        (folder / "log.db-wal").unlink(missing_ok=True)


def test_a_clean_stop_keeps_the_epoch(tmp_path: Path) -> None:
    for _ in range(3):
        log = opened(tmp_path)
        number = log.number(SINGLE.name, "a:b")
        assert log.write(WriteRequest(appends=[(number, "a:b", b"h", VALUE)])).epoch == 1
        log.close()


def test_one_of_two_leaving_badly_begins_no_epoch_while_the_other_stays(tmp_path: Path) -> None:
    stays, goes = opened(tmp_path), opened(tmp_path)
    goes.abandon()
    comes = opened(tmp_path)
    number = comes.number(SINGLE.name, "a:b")
    assert comes.write(WriteRequest(appends=[(number, "a:b", b"h", VALUE)])).epoch == 1
    comes.close()
    stays.close()
    again = opened(tmp_path)
    assert again.write(WriteRequest(appends=[(number, "a:b", b"h", VALUE)])).epoch == 1
    again.close()
