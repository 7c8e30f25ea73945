"""Recordings: written, cut short, rotated, ringed, read and played."""

import asyncio
import gzip
import random
from pathlib import Path

import pytest

from candlewick.adapters.frames.player import Player, UnknownPosition
from candlewick.adapters.frames.reader import (
    Header,
    Position,
    RecordingNotFound,
    read_blocks,
    read_header,
    recording_files,
)
from candlewick.adapters.frames.writer import FrameWriter, RingArchive, seconds_kept, started_of
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.errors import Rejected, StorageFull
from candlewick.testing.shared_data import REASON, shared_data

T0 = 1_700_000_000 * NS_PER_SECOND
HEAD = Header("binance", symbols=("BTC-USDT",))


class HandClock:
    def __init__(self) -> None:
        self.now = T0
        self.slept = 0.0

    def now_ns(self) -> int:
        self.now += 1
        return self.now

    def monotonic_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += int(seconds * NS_PER_SECOND)
        await asyncio.sleep(0)


def frame(i: int) -> tuple[int, bytes]:
    return T0 + i * NS_PER_SECOND, b'{"stream":"btcusdt@trade","data":{"t":%d}}' % i


def everything(path: Path, from_line: int = 0, lines: int = 7) -> tuple[list[tuple[int, bytes]], list[str]]:
    said: list[str] = []
    out: list[tuple[int, bytes]] = []
    for file in recording_files(path):
        for block in read_blocks(file, lambda code, _: said.append(code), from_line=from_line, lines=lines):
            out.extend(block.frames)
    return out, said


def recorded(folder: Path, count: int = 50, flush_every: int = 10) -> Path:
    writer = FrameWriter(folder, "binance", HEAD, HandClock())
    for i in range(count):
        writer.write(*frame(i))
        if i % flush_every == flush_every - 1:
            writer.flush()
    writer.close()
    assert writer.path is not None
    return writer.path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    got, said = everything(tmp_path)
    assert got == [frame(i) for i in range(50)]
    assert not said
    header = read_header(path)
    assert header is not None
    assert (header.venue, header.symbols, header.version) == ("binance", ("BTC-USDT",), 1)
    assert header.started >= T0
    assert gzip.decompress(path.read_bytes()).count(b"\n") == 51


def test_every_cut_gives_a_clean_beginning(tmp_path: Path) -> None:
    """A file cut at any byte gives whole frames from the start, and says that it was cut."""
    whole = recorded(tmp_path / "a").read_bytes()
    cut = tmp_path / "cut.gz"
    rng = random.Random(7)
    clean = 0
    for size in rng.sample(range(1, len(whole)), 60):
        cut.write_bytes(whole[:size])
        got, said = everything(cut)
        assert got == [frame(i) for i in range(len(got))]
        assert said in (["TRUNCATED_FILE"], [])
        clean += not said
    assert clean < 10, "only a cut between two members may go unnoticed"


def test_at_most_the_last_member_is_lost(tmp_path: Path) -> None:
    path = recorded(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    got, said = everything(path)
    assert len(got) >= 40
    assert said == ["TRUNCATED_FILE"]


def test_damage_in_the_middle_keeps_what_is_before(tmp_path: Path) -> None:
    path = recorded(tmp_path, 2000, 100)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    data[len(data) // 2 + 1] ^= 0xFF
    path.write_bytes(bytes(data))
    got, said = everything(path)
    assert got == [frame(i) for i in range(len(got))]
    assert len(got) > 500
    assert said == ["TRUNCATED_FILE"]


def test_plain_text_and_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"1700000000000000000 {}\nno time {}\n\n1700000000000000001 {}\n1700000000000000002")
    got, said = everything(path)
    assert [ts for ts, _ in got] == [1700000000000000000, 1700000000000000001]
    assert said == ["BAD_LINE", "BAD_LINE"]
    assert read_header(path) is None


def test_an_empty_file_is_an_empty_recording(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(b"")
    assert everything(path) == ([], [])
    path.write_bytes(gzip.compress(b""))
    assert everything(path) == ([], [])


def test_no_recording_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingNotFound, match="was"):
        recording_files(tmp_path / "nothing")
    with pytest.raises(RecordingNotFound):
        recording_files(tmp_path)


def test_a_newline_in_a_frame_does_not_break_the_file(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path, "x", HEAD, HandClock())
    writer.write(T0, b'{\n"a":1}')
    writer.close()
    assert everything(tmp_path)[0] == [(T0, b'{ "a":1}')]


def test_files_rotate(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path, "x", HEAD, HandClock(), rotate_bytes=500)
    for i in range(200):
        writer.write(*frame(i))
        if i % 10 == 9:
            writer.flush()
    writer.close()
    assert len(recording_files(tmp_path)) > 3
    assert everything(tmp_path)[0] == [frame(i) for i in range(200)]


def test_the_ring_keeps_its_budget_and_the_newest(tmp_path: Path) -> None:
    """Law 19: the oldest file leaves first."""
    ring = RingArchive(tmp_path, "ring", HEAD, HandClock(), max_bytes=20_000, files=8)
    rng = random.Random(3)
    for i in range(400):
        ring.write(T0 + i, rng.randbytes(200).hex().encode())
        ring.flush()
        assert ring.bytes() <= 20_000
    ring.close()
    got, said = everything(tmp_path)
    assert not said
    assert [ts for ts, _ in got] == list(range(T0 + 400 - len(got), T0 + 400))
    assert len(got) > 30
    assert seconds_kept(tmp_path, "ring") > 0
    assert started_of(Path("other.gz")) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this machine")
def test_a_full_disk_keeps_the_frames_and_goes_on_later(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path, "x", HEAD, HandClock())
    writer.write(*frame(0))
    writer.flush()
    good = writer._file
    with Path("/dev/full").open("wb", buffering=0) as full:
        writer._file = full
        writer.write(*frame(1))
        with pytest.raises(StorageFull) as error:
            writer.flush()
        assert error.value.code == "STORAGE_FULL"
    writer._file = good
    writer.close()
    assert everything(tmp_path)[0] == [frame(0), frame(1)]


def test_frames_that_find_no_disk_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candlewick.adapters.frames.writer._PENDING_LIMIT", 10_000)
    writer = FrameWriter(tmp_path, "x", HEAD, HandClock())
    for i in range(1000):
        writer.write(*frame(i))
    assert writer._pending_bytes <= 10_000
    assert writer.dropped > 0
    writer.close()
    got, _ = everything(tmp_path)
    assert len(got) + writer.dropped == 1000
    assert got[-1] == frame(999)


async def played(player: Player) -> list[tuple[int, bytes]]:
    return [f async for block in player.blocks() for f in block.frames]


def complain(code: str, detail: str) -> None:
    raise AssertionError(f"{code} {detail}")


async def test_a_player_goes_on_from_any_position(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path, "x", HEAD, HandClock(), rotate_bytes=400)
    for i in range(100):
        writer.write(*frame(i))
        if i % 7 == 6:
            writer.flush()
    writer.close()
    want = [frame(i) for i in range(100)]
    assert await played(Player([tmp_path], HandClock(), complain, lines=9)) == want
    async for position, ts_recv, raw in Player([tmp_path], HandClock(), complain, lines=9).frames():
        done = want.index((ts_recv, raw)) + 1
        assert await played(Player([tmp_path], HandClock(), complain, start=position, lines=9)) == want[done:]


async def test_speed_paces_by_receive_time(tmp_path: Path) -> None:
    recorded(tmp_path)
    clock = HandClock()
    got = [(position, ts) async for position, ts, _ in Player([tmp_path], clock, complain, speed=2.0).frames()]
    assert len(got) == 50
    assert clock.slept == pytest.approx(24.5, abs=0.1)
    clock = HandClock()
    assert len(await played(Player([tmp_path], clock, complain, speed=60.0))) == 50
    assert clock.slept == pytest.approx(49 / 60, abs=0.05)


async def test_a_wrong_position_or_speed_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path)
    with pytest.raises(UnknownPosition):
        Player([tmp_path], HandClock(), complain, start=Position("other.gz", 3))
    with pytest.raises(Rejected):
        Player([tmp_path], HandClock(), complain, speed=0)


async def test_the_writer_flushes_by_itself_and_ends_clean(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path, "x", HEAD, HandClock())
    task = asyncio.create_task(writer.run(0.5))
    writer.write(*frame(0))
    while not writer.path:
        await asyncio.sleep(0.001)
    writer.write(*frame(1))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert everything(tmp_path)[0] == [frame(0), frame(1)]


HFT = shared_data("A_raw_feeds/binance_raw_hft")


@pytest.mark.skipif(HFT is None, reason=REASON)
def test_the_public_recordings_read_alike() -> None:
    assert HFT is not None
    counts = {p.name: sum(len(b.frames) for b in read_blocks(p, complain)) for p in recording_files(HFT)}
    assert counts == {"spot_btcusdt_20240808.gz": 41249, "spot_btcusdt_20240809.gz": 58325}
    assert recording_files(HFT)[0].stat().st_size == 1274097
