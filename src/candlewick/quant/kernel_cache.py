"""Compiled kernels on disk: one file each, named after everything it was made from, so that its presence is freshness.

The folder is ``$NUMBA_CACHE_DIR`` where set, else ``kernels-<version>-<cpu>`` in the user's cache folder (XDG). Numba's
own cache would first load every registry it would need to compile (0.3 s here); these entries are native code that is
linked at once. Each begins with a checksum: what is damaged is not loaded. They are pickles, so the folder must be the
user's own, as with numba's.
"""

import hashlib
import os
import pickle
import platform
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import Any

from candlewick import __version__

_SUM_BYTES = 32
# Entries of one kernel that stay: other checkouts of the same version may share the folder.
_KEPT = 4
_MAKERS = ("llvmlite", "numba", "numpy")
# Settings of numba that change the code it makes.
_SETTINGS = ("NUMBA_BOUNDSCHECK", "NUMBA_CPU_FEATURES", "NUMBA_CPU_NAME", "NUMBA_DEBUGINFO", "NUMBA_OPT")


def folder() -> Path:
    """Where entries are looked for, whether or not it exists or can be written."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "candlewick" / f"kernels-{__version__}-{_processor()}"


def cache_dir() -> Path | None:
    """Where entries go, made if need be; None when nothing can be written there."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=place).close()
    except OSError:
        return None
    return place


def entry(function: Callable[..., Any], parts: bytes, arguments: tuple[str, ...]) -> Path:
    """The file of a kernel; ``parts`` stands for the code and constants it contains beside its own file."""
    digest = hashlib.sha256(repr((arguments, _made_by())).encode() + parts)
    source = sys.modules[function.__module__].__file__
    digest.update(_content(source) if source else function.__code__.co_code)
    name = f"{function.__module__}.{function.__qualname__}"
    return folder() / f"{name}-{digest.hexdigest()[:24]}.kernel"


def load(path: Path) -> Any:
    """The compile result of an entry, linked and ready to call; None when there is none that can be used."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    payload = memoryview(content)[_SUM_BYTES:]
    if hashlib.sha256(payload).digest() != content[:_SUM_BYTES]:
        return None
    from numba.core.compiler import CompileResult
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target
    from numba.core.runtime import rtsys

    target = cpu_target.target_context
    with global_compiler_lock:
        try:
            made_for, reduced = pickle.loads(payload)
            if made_for != target.codegen().magic_tuple():
                return None
            rtsys.initialize(target)
            return CompileResult._rebuild(target, *reduced)
        except Exception:  # unpickling raises nearly anything; compiling anew is always right
            return None


def save(path: Path, result: Any) -> None:
    """Keep a compile result, whole or not at all. A folder that cannot be written costs the next start its time."""
    from numba.core.serialize import dumps

    if result.library.has_dynamic_globals:
        return
    payload = dumps((result.target_context.codegen().magic_tuple(), result._reduce()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f"{path.stem}.", suffix=".new", delete=False) as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        made = Path(file.name)
        made.chmod(0o644)  # an image is built by one user and run by another
        made.replace(path)
        others = path.parent.glob(f"{path.stem.rpartition('-')[0]}-*.kernel")
        for old in sorted(others, key=lambda p: p.stat().st_mtime_ns)[:-_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return


@cache
def _content(path: str) -> bytes:
    """A digest of a source file; what cannot be read (a zipped package) is told apart by the version alone."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).digest()
    except OSError:
        return path.encode()


def content_of(module: str) -> bytes:
    """A digest of a module's source."""
    source = sys.modules[module].__file__
    return _content(source) if source else module.encode()


@cache
def _made_by() -> tuple[str | None, ...]:
    makers = (version(name) for name in _MAKERS)
    return (sys.implementation.cache_tag, *makers, *(os.environ.get(name) for name in _SETTINGS))


@cache
def _processor() -> str:
    """Eight digits for the instructions this machine offers."""
    told = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for field in ("model name", "flags", "Features"):
        told += next(([line] for line in lines if line.startswith(field)), [])
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]
