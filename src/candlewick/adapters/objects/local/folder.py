"""``ports.objects`` in a folder.

A put writes a file of its own in ``incoming/``, brings it to the disk, then gives it its name in one step (``rename``,
or ``link`` where the name must be free). Each process keeps its half-written files in a folder that it holds locked;
a folder whose lock is free belongs to a killed process and is swept away by the next one that starts.
"""

import asyncio
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from candlewick.adapters.objects.local.keys import folder_of, key_of, path_of
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import StorageFull
from candlewick.kernel.ids import IdSource
from candlewick.ports.objects import ObjectExists, ObjectInfo, ObjectNotFound, ObjectsUnavailable

T = TypeVar("T")

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LIST_PAGE = 1000
_LOCK = "lock"
_DOOR = "door"


class LocalObjects:
    """Objects are plain files below ``folder``/objects; several processes may use one folder.

    The etag is made of modification time, inode and size, because a hash of the content would have to read the whole
    object for every ``info`` and ``list``. Each put of a key gets a later modification time than the one it replaces,
    so the etag changes whenever the content does, also within one tick of the file system's clock.
    """

    def __init__(self, folder: Path, clock: Clock, ids: IdSource) -> None:
        self._objects = folder / "objects"
        self._incoming = folder / "incoming"
        self._clock = clock
        self._ids = ids
        self._own: tuple[Path, int] | None = None
        self._opening = threading.Lock()

    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        """Raises BadObjectKey, ObjectExists, StorageFull, ObjectsUnavailable."""
        target = self._path(key)
        name, now_ns = self._ids.new().hex, self._clock.now_ns()
        return await self._run(key, lambda: self._put(key, target, name, data, now_ns, create_only))

    async def get(self, key: str) -> bytes:
        """Raises BadObjectKey, ObjectNotFound."""
        path = self._path(key)
        return await self._run(key, path.read_bytes)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Raises BadObjectKey, ObjectNotFound."""
        path = self._path(key)

        def read() -> bytes:
            with path.open("rb") as file:
                file.seek(max(start, 0))
                return file.read(max(end - max(start, 0), 0))

        return await self._run(key, read)

    async def info(self, key: str) -> ObjectInfo:
        """Raises BadObjectKey, ObjectNotFound."""
        path = self._path(key)
        return await self._run(key, lambda: _info(key, path.stat()))

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """What is deleted while listing may be left out."""

        def keys() -> Any:
            self._room()
            return _keys(self._objects, prefix)

        found = await self._run(prefix, keys)
        for at in range(0, len(found), _LIST_PAGE):
            for info in await self._run(prefix, partial(_infos, self._objects, found[at : at + _LIST_PAGE])):
                yield info

    async def delete(self, key: str) -> bool:
        """Raises BadObjectKey."""
        path = self._path(key)

        def remove() -> bool:
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            _sync(path.parent)
            return True

        return await self._run(key, remove)

    async def close(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            await asyncio.to_thread(shutil.rmtree, own[0], ignore_errors=True)
            os.close(own[1])

    def _path(self, key: str) -> Path:
        return self._objects / path_of(key)

    async def _run(self, key: str, function: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(function)
        except (FileNotFoundError, NotADirectoryError):
            raise ObjectNotFound(f"no such object, was {key!r}") from None
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StorageFull(
                    f"no room to keep the object, was {key!r}", hint="Free disk space; what was accepted is safe"
                ) from error
            raise ObjectsUnavailable(f"the folder {str(self._objects)!r} cannot be used: {error.strerror}") from error

    def _put(self, key: str, target: Path, name: str, data: bytes, now_ns: int, create_only: bool) -> ObjectInfo:
        half = self._room() / name
        try:
            with half.open("xb") as file:
                file.write(data)
                file.flush()
                with suppress(FileNotFoundError, NotADirectoryError):
                    now_ns = max(now_ns, target.stat().st_mtime_ns + 1)
                os.utime(file.fileno(), ns=(now_ns, now_ns))
                os.fsync(file.fileno())
                state = os.fstat(file.fileno())
            self._make_folder(target.parent)
            if create_only:
                try:
                    os.link(half, target)
                except FileExistsError:
                    raise ObjectExists(f"the key is taken, was {key!r}") from None
            else:
                half.rename(target)
            _sync(target.parent)
        finally:
            half.unlink(missing_ok=True)
        return _info(key, state)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each one kept on the disk."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for one in reversed(missing):
            one.mkdir(exist_ok=True)
            _sync(one.parent)

    def _room(self) -> Path:
        """This process's own folder for half-written files; on the first call those of the dead are swept."""
        with self._opening:
            if self._own is None:
                self._incoming.mkdir(parents=True, exist_ok=True)
                self._objects.mkdir(exist_ok=True)
                door = os.open(self._incoming / _DOOR, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
                try:
                    # One process at a time, so that nobody sweeps a folder that is not locked yet.
                    fcntl.flock(door, fcntl.LOCK_EX)
                    _sweep(self._incoming)
                    own = self._incoming / self._ids.new().hex
                    own.mkdir()
                    lock = os.open(own / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
                    fcntl.flock(lock, fcntl.LOCK_EX)
                finally:
                    os.close(door)
                self._own = (own, lock)
            return self._own[0]


def _sweep(incoming: Path) -> None:
    for folder in incoming.iterdir():
        if not folder.is_dir():
            continue
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _keys(objects: Path, prefix: str) -> list[str]:
    found = []
    for folder, _, files in os.walk(objects / folder_of(prefix)):
        below = Path(folder).relative_to(objects)
        for file in files:
            key = key_of(below / file)
            if key is not None and key.startswith(prefix):
                found.append(key)
    return sorted(found)


def _infos(objects: Path, keys: list[str]) -> list[ObjectInfo]:
    infos = []
    for key in keys:
        with suppress(FileNotFoundError):
            infos.append(_info(key, (objects / path_of(key)).stat()))
    return infos


def _info(key: str, state: os.stat_result) -> ObjectInfo:
    etag = f"{state.st_mtime_ns:x}-{state.st_ino:x}-{state.st_size:x}"
    return ObjectInfo(key, state.st_size, etag, state.st_mtime_ns)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
