"""What the objects' folder keeps: over kill -9 in the middle of puts, with a full disk; what it sweeps away."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from candlewick.adapters.objects.local import LocalObjects
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.testing.killing import killed_child, seeds

_SIZE = 400_000
_CHILD = """
import asyncio, sys
from pathlib import Path
from candlewick.adapters.objects.local import LocalObjects
from candlewick.kernel.system import SystemClock, SystemIds

async def main():
    objects = LocalObjects(Path(sys.argv[1]), SystemClock(), SystemIds())
    n = len([info async for info in objects.list("day/")])
    print("ready", flush=True)
    while True:
        data = n.to_bytes(4, "big") * 100_000
        await objects.put(f"day/{n:05}", data, create_only=True)
        await objects.put("same", data)
        print(n, flush=True)
        n += 1

asyncio.run(main())
"""
_FULL = """
import asyncio, resource, sys
from pathlib import Path
from candlewick.adapters.objects.local import LocalObjects
from candlewick.kernel.errors import StorageFull
from candlewick.kernel.system import SystemClock, SystemIds

async def main():
    objects = LocalObjects(Path(sys.argv[1]), SystemClock(), SystemIds())
    await objects.put("small", b"kept")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    for key in ("large", "small"):
        try:
            await objects.put(key, bytes(200_000))
        except StorageFull as error:
            assert error.code == "STORAGE_FULL"
        else:
            raise AssertionError("there was room")
    assert [info.key async for info in objects.list()] == ["small"]
    assert await objects.get("small") == b"kept"
    await objects.put("other", bytes(90_000))

asyncio.run(main())
"""


def _objects(folder: Path) -> LocalObjects:
    return LocalObjects(folder, SystemClock(), SystemIds())


@pytest.mark.kill
async def test_killed_puts_leave_whole_objects_only(tmp_path: Path) -> None:
    for seed in seeds(5):
        printed = [int(line) for line in killed_child(_CHILD, [str(tmp_path)], seed=seed, least_s=0.0, most_s=0.2)]
        objects = _objects(tmp_path)
        found = [info async for info in objects.list()]
        days = [info for info in found if info.key != "same"]
        assert [info.key for info in days] == [f"day/{n:05}" for n in range(len(days))], f"seed {seed}"
        assert len(days) > max(printed, default=-1), f"seed {seed}"
        for info in found:
            data = await objects.get(info.key)
            assert info.size == len(data) == _SIZE, f"seed {seed}"
            n = int.from_bytes(data[:4], "big")
            assert data == data[:4] * 100_000, f"seed {seed}"
            assert info.key in {"same", f"day/{n:05}"}
        own = {path for path in (tmp_path / "incoming").iterdir() if path.is_dir()}
        assert len(own) == 1, "what the killed process left is swept, the living one's folder stays"
        await objects.close()
    assert not [path for path in (tmp_path / "incoming").iterdir() if path.is_dir()]


def test_a_full_disk_loses_nothing_accepted(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    subprocess.run([sys.executable, "-c", _FULL, str(tmp_path)], check=True)


async def test_nobody_sweeps_the_living(tmp_path: Path) -> None:
    first = _objects(tmp_path)
    await first.put("a", b"1")
    (own,) = [path for path in (tmp_path / "incoming").iterdir() if path.is_dir()]
    (own / "half").write_bytes(b"half")
    second = _objects(tmp_path)
    await second.put("b", b"2")
    assert (own / "half").exists()
    await first.close()
    await second.close()


async def test_strangers_in_the_folder_are_not_listed(tmp_path: Path) -> None:
    objects = _objects(tmp_path)
    await objects.put("a/b", b"1")
    (tmp_path / "objects" / "a" / ".DS_Store").write_bytes(b"x")
    assert [info.key async for info in objects.list()] == ["a/b"]
    assert (tmp_path / "objects" / "a" / "b~").read_bytes() == b"1"
    await objects.close()
