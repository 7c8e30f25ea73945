"""The supervisor over processes of a stand-in: one version takes over from another without a connection refused."""

import asyncio
import json
import signal
import socket

import pytest

from candlewick.app.cluster import child as children
from candlewick.app.cluster.child import NothingToRollBack, SwitchFailed
from candlewick.app.cluster.life import ProcessFailed, Recipe
from candlewick.app.cluster.supervisor import Supervisor
from candlewick.app.cluster.versions import Version, Versions
from candlewick.app.http.server import PortTaken
from candlewick.app.registry import UnknownService
from candlewick.kernel.errors import Conflict
from tests.e2e.server import free_port
from tests.supervised import interpreter, trace

pytestmark = pytest.mark.timeout(120)


class Ground:
    """A supervisor of the service ``market`` on a port of its own."""

    def __init__(self, folder, python, *, in_turn=False):
        self.folder, self.port, self.printed, self.said = folder, free_port(), [], []
        recipe = Recipe(python, ("--profile", "cluster"), {"SECRET": "kept out of the command line"})
        self.supervisor = Supervisor(
            {"market": recipe}, {"market": ("127.0.0.1", self.port)}, lambda name, lines: self.printed.append(lines),
            Versions(folder / "versions.json"), in_turn=frozenset({"market"} if in_turn else ()),
        )  # fmt: skip

    async def ask(self, path="/"):
        """The version that answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
            return json.loads((await reader.read()).partition(b"\r\n\r\n")[2])["version"]
        finally:
            writer.close()

    async def switch(self, python, *, within_s=30.0):
        await self.supervisor.switch("market", python, self.said.append, within_s=within_s)

    async def rollback(self):
        await self.supervisor.rollback("market", self.said.append, within_s=30.0)


@pytest.fixture
async def begin(tmp_path):
    made = []

    async def begin(fault="", **how):
        ground = Ground(tmp_path, interpreter(tmp_path, "1", fault), **how)
        made.append(ground)
        await ground.supervisor.start()
        return ground

    begin.made = made
    yield begin
    for ground in made:
        await ground.supervisor.stop()


class Asking:
    """Asks again and again, all the time that the block takes."""

    def __init__(self, ground):
        self.ground, self.versions = ground, []

    async def __aenter__(self):
        self.running = True
        self.task = asyncio.ensure_future(self.run())
        return self.versions

    async def run(self):
        while self.running:
            self.versions.append(await self.ground.ask())

    async def __aexit__(self, *_):
        self.running = False
        await self.task


async def test_a_new_version_takes_over_and_back_and_every_request_is_answered(begin, tmp_path):
    ground = await begin()
    assert await ground.ask() == "1"
    async with Asking(ground) as versions:
        await ground.switch(interpreter(tmp_path, "2"))
    assert set(versions) <= {"1", "2"}
    assert await ground.ask() == "2"
    async with Asking(ground) as versions:
        await ground.rollback()
    assert set(versions) <= {"1", "2"}
    assert await ground.ask() == "1"
    lives = [line for line in trace(tmp_path) if line.endswith((" serves", " ends"))]
    assert lives == ["market 1 serves", "market-2 2 serves", "market 1 ends", "market 1 serves", "market-2 2 ends"]
    with pytest.raises(NothingToRollBack):
        await ground.rollback()
    assert any("takes no new connection" in text for text in ground.said)


async def test_what_is_in_hand_is_finished_by_the_old_one(begin, tmp_path):
    ground = await begin()
    slow = asyncio.ensure_future(ground.ask("/slow"))
    await asyncio.sleep(0.2)
    await ground.switch(interpreter(tmp_path, "2"))
    assert await slow == "1"


@pytest.mark.parametrize("fault", ["dies", "never-ready", "never-level"])
async def test_a_version_that_does_not_come_to_serve_leaves_the_old_one_at_work(begin, tmp_path, fault):
    ground = await begin()
    async with Asking(ground) as versions:
        with pytest.raises(SwitchFailed, match="the one before serves on"):
            await ground.switch(interpreter(tmp_path, "2", fault), within_s=1.0)
    assert set(versions) == {"1"}
    assert "2 serves" not in " ".join(trace(tmp_path))
    (told,) = await ground.supervisor.status()
    assert [process["version"] for process in told["processes"]] == ["1"]
    with pytest.raises(NothingToRollBack):
        await ground.rollback()


async def test_an_interpreter_that_is_not_there_is_told(begin):
    ground = await begin()
    with pytest.raises(SwitchFailed, match="cannot be begun"):
        await ground.switch("/nowhere/python")
    assert await ground.ask() == "1"


async def test_one_at_a_time_means_that_the_old_one_ends_before_the_new_one_works(begin, tmp_path):
    ground = await begin(in_turn=True)
    async with Asking(ground) as versions:
        await ground.switch(interpreter(tmp_path, "2"))
    assert versions[0] == "1"
    assert await ground.ask() == "2"
    lives = trace(tmp_path)
    assert lives.index("market-2 2 begins") < lives.index("market 1 ends") < lives.index("market-2 2 works")


async def test_one_at_a_time_and_the_new_one_fails_the_old_one_is_begun_again(begin, tmp_path):
    ground = await begin(in_turn=True)
    with pytest.raises(SwitchFailed, match="begun again"):
        await ground.switch(interpreter(tmp_path, "2", "never-ready"))
    assert await ground.ask() == "1", "who asks meanwhile waits in the port's queue"
    assert trace(tmp_path).count("market 1 serves") == 2


async def test_a_process_that_is_killed_is_begun_again_under_its_name_and_nobody_is_refused(begin, tmp_path):
    ground = await begin()
    await ground.switch(interpreter(tmp_path, "2"))
    (told,) = await ground.supervisor.status("market")
    child = ground.supervisor.child("market")
    child.life._process.send_signal(signal.SIGKILL)
    await child.life.ended
    assert await asyncio.wait_for(ground.ask(), 60) == "2"
    (after,) = await ground.supervisor.status("market")
    assert after["processes"][0]["pid"] != told["processes"][0]["pid"]
    assert after["processes"][0]["member"] == "market-2", "its seat in the groups is its name's"
    await ground.rollback()
    assert await ground.ask() == "1"


async def test_while_nobody_can_serve_for_long_connections_are_turned_away_at_once(begin, monkeypatch):
    monkeypatch.setattr(children, "_AGAIN_FIRST_S", 20.0)
    monkeypatch.setattr(children, "_QUEUE_S", 0.1)
    ground = await begin("ends-when-serving")
    await ground.supervisor.child("market").life.ended
    await asyncio.sleep(1.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", ground.port)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_one_switch_at_a_time(begin, tmp_path):
    ground = await begin()
    first = asyncio.ensure_future(ground.switch(interpreter(tmp_path, "2")))
    await asyncio.sleep(0.05)
    with pytest.raises(Conflict):
        await ground.switch(interpreter(tmp_path, "3"))
    await first
    with pytest.raises(UnknownService):
        await ground.supervisor.switch("nobody", None, print, within_s=1)


async def test_a_first_start_that_fails_says_so_and_one_that_may_pass_is_tried_again(begin, tmp_path):
    with pytest.raises(ProcessFailed, match="ended with 3 before it was ready"):
        await begin("dies")
    assert b"it has no heart\n" in b"".join(begin.made[0].printed)
    ground = await begin("passing")
    assert await ground.ask() == "1"


async def test_the_port_is_the_supervisor_s_own(begin, tmp_path):
    ground = await begin()
    ports = {"market": ("127.0.0.1", ground.port)}
    with pytest.raises(PortTaken):
        Supervisor({"market": Recipe("python", (), {})}, ports, print, Versions(tmp_path / "versions.json"))


async def test_the_next_start_begins_what_was_switched_to_and_knows_the_way_back(begin, tmp_path):
    one, two = interpreter(tmp_path, "1"), interpreter(tmp_path, "2")
    ground = await begin()
    (told,) = await ground.supervisor.status()
    assert told["next_start"] is None
    await ground.switch(two)
    assert Versions(tmp_path / "versions.json").of("market") == Version(two, one)
    (told,) = await ground.supervisor.status()
    assert told["next_start"] == two
    await ground.supervisor.stop()
    ground = await begin()
    assert await ground.ask() == "2"
    await ground.rollback()
    assert await ground.ask() == "1"
    assert Versions(tmp_path / "versions.json").of("market") == Version(one, None)
    with pytest.raises(NothingToRollBack):
        await ground.rollback()


async def test_what_did_not_come_to_serve_or_is_no_other_version_is_not_written_down(begin, tmp_path):
    ground = await begin()
    with pytest.raises(SwitchFailed):
        await ground.switch(interpreter(tmp_path, "2", "dies"))
    await ground.switch(None)
    assert not (tmp_path / "versions.json").exists()


async def test_a_switch_that_cannot_be_written_down_says_so(begin, tmp_path):
    ground = await begin()
    (tmp_path / "versions.new").mkdir()
    await ground.switch(interpreter(tmp_path, "2"))
    assert await ground.ask() == "2"
    assert any("the next start does not know of it" in text for text in ground.said)


async def test_a_process_ends_when_its_supervisor_is_gone(begin, tmp_path):
    ground = await begin()
    life = ground.supervisor.child("market").life
    life._line.shutdown(socket.SHUT_RDWR)
    assert await asyncio.wait_for(asyncio.shield(life.ended), 30) == 0
    assert "market 1 ends" in trace(tmp_path)
