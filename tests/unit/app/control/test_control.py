"""A running process is found by its data dir, answers its owner alone, and what a killed one left is nobody."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from candlewick.app.control import logs, place
from candlewick.app.control.door import AlreadyRunning, AskedFor, ControlRefused, ask, opened
from candlewick.app.control.place import NotRunning, Running, began, find, look
from candlewick.kernel.errors import Conflict


async def told(data_dir, verb, **what):
    return await asyncio.to_thread(lambda: list(ask(find(data_dir), verb, **what)))


async def test_a_door_answers_what_it_was_given_and_tells_on_the_way(tmp_path):
    async def double(asked, say):
        say("thinking")
        say("still thinking")
        return {"twice": 2 * asked["number"]}

    async with opened(tmp_path, "embedded", "http://127.0.0.1:1", {"double": double}):
        found = await told(tmp_path, "double", number=21)
        assert found == [{"said": "thinking"}, {"said": "still thinking"}, {"done": {"twice": 42}}]
        with pytest.raises(AskedFor, match="answers to double, was 'halve'") as refused:
            await told(tmp_path, "halve")
        assert refused.value.code == ControlRefused.code
        running = find(tmp_path)
        assert (running.pid, running.profile, running.address) == (os.getpid(), "embedded", "http://127.0.0.1:1")
    with pytest.raises(NotRunning, match="no 'candlewick up' runs"):
        find(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_errors_come_with_their_code_and_hint_and_a_bug_is_told_without_a_trace(tmp_path, capsys):
    async def refuse(asked, say):
        raise Conflict("it is so already", hint="Wait")

    async def break_(asked, say):
        raise ZeroDivisionError("nothing to divide by")

    async with opened(tmp_path, "cluster", "", {"refuse": refuse, "break": break_}):
        with pytest.raises(AskedFor) as caught:
            await told(tmp_path, "refuse")
        assert (caught.value.code, caught.value.detail, caught.value.hint) == ("CONFLICT", "it is so already", "Wait")
        with pytest.raises(AskedFor, match="nothing to divide by") as caught:
            await told(tmp_path, "break")
        assert caught.value.code == "INTERNAL"


async def test_only_the_owner_may_ask(tmp_path):
    async with opened(tmp_path, "cluster", "", {}):
        assert stat.S_IMODE(Path(find(tmp_path).control).stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / place.FILE).stat().st_mode) == 0o600


async def test_a_data_dir_with_a_long_name_has_its_socket_elsewhere(tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    async with opened(deep, "cluster", "", {}):
        control = Path(find(deep).control)
        assert len(str(control)) < 100
        assert control.exists()
    assert not control.exists()


async def test_two_on_one_data_dir_are_refused(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    running = Running(other.pid, began(other.pid), "embedded", "0", "", str(tmp_path / "x"), str(tmp_path))
    with place.announced(tmp_path, running):
        with pytest.raises(AlreadyRunning, match=str(other.pid)):
            async with opened(tmp_path, "embedded", "", {}):
                pass
        assert look(tmp_path) == running, "and the other's file is left alone"
        with pytest.raises(NotRunning, match="does not answer"):
            list(ask(running, "status"))
        other.communicate(b"\n")
        assert look(tmp_path) is None, "a process that has ended runs on nothing"
        async with opened(tmp_path, "embedded", "", {}):
            assert find(tmp_path).pid == os.getpid()


@pytest.mark.parametrize(
    "left",
    [
        "", "{", "[]", json.dumps({"pid": 1}),
        json.dumps(dict.fromkeys(Running.__dataclass_fields__, "") | {"pid": os.getpid(), "began": "another's start"}),
        json.dumps(dict.fromkeys(Running.__dataclass_fields__, "") | {"pid": 2**22 + 1}),
    ],
)  # fmt: skip
def test_what_was_left_behind_is_nobody(tmp_path, left):
    (tmp_path / place.FILE).write_text(left)
    assert look(tmp_path) is None


async def test_a_replay_is_found_below_the_data_dir(tmp_path):
    async with opened(tmp_path / "replay", "embedded", "", {}):
        assert find(tmp_path).data_dir == str(tmp_path / "replay")


async def test_work_goes_on_when_whoever_asked_has_gone(tmp_path):
    done = asyncio.Event()

    async def slow(asked, say):
        for _ in range(20):
            say("x" * 10_000)
            await asyncio.sleep(0.01)
        done.set()

    async with opened(tmp_path, "cluster", "", {"slow": slow}):
        reader, writer = await asyncio.open_unix_connection(find(tmp_path).control, limit=1 << 20)
        writer.write(b'{"verb": "slow"}\n')
        await reader.readline()
        writer.transport.abort()
        await asyncio.wait_for(done.wait(), 20)
        assert (await told(tmp_path, "slow"))[-1] == {"done": None}


def test_a_log_file_turns_and_the_oldest_part_is_forgotten(tmp_path):
    file = logs.LogFile(tmp_path / "logs/market.log", most_bytes=100, kept=2)
    for number in range(40):
        file.write(b"line %02d ......\n" % number)
    file.close()
    names = sorted(one.name for one in (tmp_path / "logs").iterdir())
    assert names == ["market.log", "market.log.1", "market.log.2"]
    text = "".join((tmp_path / "logs" / name).read_text() for name in reversed(names))
    kept = [int(line[5:7]) for line in text.splitlines()]
    assert kept == list(range(kept[0], 40))
    assert stat.S_IMODE((tmp_path / "logs/market.log").stat().st_mode) == 0o600


def test_a_log_that_cannot_be_written_costs_nobody_anything(tmp_path):
    (tmp_path / "logs").write_text("a file where a folder should be")
    logs.LogFile(tmp_path / "logs/market.log").write(b"lost\n")


def test_lines_are_whole_and_without_colours(tmp_path):
    lines = logs.Lines()
    assert lines.take(b"one\ntw") == b"one\n"
    assert lines.take(b"o\nthree") == b"two\n"
    assert lines.end() == b"three\n"
    assert lines.end() == b""
    long = b"x" * ((1 << 20) + 1)
    assert lines.take(long) == long + b"\n"
    file = logs.LogFile(tmp_path / "up.log")
    file.write(b"\x1b[2m2026\x1b[0m [\x1b[32minfo\x1b[0m]\n")
    file.close()
    assert (tmp_path / "up.log").read_text() == "2026 [info]\n"


def test_what_this_process_prints_is_kept_and_the_streams_are_given_back(tmp_path, capsys):
    before = sys.stdout, sys.stderr
    with logs.kept(tmp_path):
        print("out")
        print("err", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert (tmp_path / "logs/up.log").read_text() == "out\nerr\n"
    assert capsys.readouterr() == ("out\n", "err\n")
