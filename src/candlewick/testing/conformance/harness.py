"""What a binding gives a conformance suite, and how a planted fault is shown to be seen.

A suite never builds an adapter: it asks its harness for handles, kills them all as ``kill -9`` would, and asks again.
So the same suite serves an adapter in this process and one that talks to a server.
"""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import pytest

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Harness(Protocol[T_co]):
    """Handles on one storage that is empty at first."""

    async def handle(self) -> T_co:
        """One more handle, opened, as another process would hold it; closed by the harness in the end."""
        ...

    async def kill(self) -> None:
        """Every handle given out so far dies as by kill -9; the next one sees what a restarted process would."""
        ...

    @property
    def scratch(self) -> Path:
        """A folder for the suite's own files."""
        ...


class FolderHarness(Generic[T]):
    """For adapters that keep everything below one folder.

    ``kill`` goes on with a copy of the folder as it is at this instant: exactly what the operating system would have
    after kill -9. What the old handles still do, they do to the old folder.
    """

    def __init__(self, root: Path, build: Callable[[Path], T]) -> None:
        self._root = root
        self._build = build
        self._lives = 0
        self._handles: list[T] = []
        self.scratch = root / "scratch"
        self.scratch.mkdir(parents=True)
        self.folder.mkdir()

    @property
    def folder(self) -> Path:
        """Where the present life keeps its files."""
        return self._root / f"life-{self._lives}"

    async def handle(self) -> T:
        handle = self._build(self.folder)
        self._handles.append(handle)
        for name in ("open", "start"):
            begin: Callable[[], Awaitable[None]] | None = getattr(handle, name, None)
            if begin is not None and not (name == "start" and hasattr(handle, "register")):
                await begin()
        return handle

    async def kill(self) -> None:
        before = self.folder
        self._lives += 1
        # The -shm file is memory shared by the living; SQLite makes it anew from the WAL.
        shutil.copytree(before, self.folder, ignore=shutil.ignore_patterns("*-shm"), copy_function=_copy)
        await self.close()

    async def close(self) -> None:
        """Close every handle of this life."""
        while self._handles:
            handle = self._handles.pop()
            end: Callable[[], Awaitable[None]] = getattr(handle, "close", None) or handle.stop  # type: ignore[attr-defined]
            await end()


def _copy(source: str, target: str) -> object:
    try:
        return shutil.copy2(source, target)
    except FileNotFoundError:
        # Renamed or deleted between listing and copying: gone at the instant of the kill.
        return target


class Fault(NamedTuple):
    """A wrapper that breaks one law, and the test that must see it."""

    law: str
    name: str
    plant: Callable[[Any], Any]

    def __str__(self) -> str:
        return f"{self.law}-{self.name}"


class Planted(Generic[T]):
    """A harness whose every handle carries a fault; anything else is the sound harness's."""

    def __init__(self, sound: Harness[T], fault: Fault) -> None:
        self._sound = sound
        self._fault = fault

    async def handle(self) -> T:
        planted: T = self._fault.plant(await self._sound.handle())
        return planted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sound, name)


async def must_see(suite: type, fault: Fault, harness: Harness[Any]) -> None:
    """Run the law's test on the faulty adapter; fails when the test passes."""
    try:
        await getattr(suite(), fault.law)(Planted(harness, fault))
    except (AssertionError, pytest.fail.Exception):
        return
    raise AssertionError(f"{suite.__name__}.{fault.law} does not see the planted fault {fault.name!r}")


def laws(suite: type) -> set[str]:
    """Names of a suite's tests."""
    return {name for name in dir(suite) if name.startswith("test_")}
