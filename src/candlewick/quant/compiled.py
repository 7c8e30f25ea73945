"""Numeric kernels: plain functions on arrays that numba compiles once per machine.

``@kernel(...)`` declares a function with an explicit signature; nothing is compiled, and numba is not imported, until
the kernel is first called or ``Kernel.warm()`` runs at start-up. ``@inlined`` marks a plain function that kernels may
call. Compiled code lands in numba's cache directory (``NUMBA_CACHE_DIR``, else beside the source, else the user's
cache); where none can be written the kernel is compiled in memory instead.

What keeps the bits the same on every machine: no fastmath, no contraction of ``a * b + c`` (numba emits none without
fastmath), and only operations that IEEE 754 rounds exactly: ``+ - * / sqrt``. Kernels do not call exp, log or sin.
"""

import hashlib
import inspect
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, ParamSpec

P = ParamSpec("P")

_lock = threading.RLock()
_inlined: list[Callable[..., Any]] = []
_registered: set[Callable[..., Any]] = set()
_kernels: list["Kernel[Any]"] = []


class Kernel(Generic[P]):
    """A function on arrays, compiled at first use. Arguments must have the declared types: kernels never copy."""

    def __init__(self, function: Callable[P, None], arguments: tuple[str, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self._compiled: Callable[P, None] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        compiled = self._compiled
        if compiled is None:
            compiled = self.warm()
        compiled(*args, **kwargs)

    def warm(self) -> Callable[P, None]:
        """Compile now, or load from the cache, and return the compiled function."""
        with _lock:
            if self._compiled is None:
                self._compiled = _compile(self.function, self.arguments)
            return self._compiled


def kernel(*arguments: str) -> Callable[[Callable[P, None]], Kernel[P]]:
    """Declare a kernel that returns nothing and writes into its array arguments.

    ``arguments`` name the types in order: ``i8 u8 f8`` for scalars, ``f8[:]`` for a C-contiguous array that is written,
    ``const f8[:]`` for one that is only read; also ``i8 u1 u8`` arrays and ``f8[:,:]``. An argument whose name starts
    with an underscore may be left unused.
    """

    def declare(function: Callable[P, None]) -> Kernel[P]:
        made = Kernel(function, arguments)
        _kernels.append(made)
        return made

    return declare


def inlined(function: Callable[..., Any]) -> Any:
    """Mark a plain function as callable from kernels. It stays a plain function in Python."""
    _inlined.append(function)
    return function


def warm_all(prefix: str = "") -> int:
    """Compile or load every kernel declared so far in modules whose name starts with ``prefix``; return how many."""
    chosen = [k for k in _kernels if k.function.__module__.startswith(prefix)]
    for one in chosen:
        one.warm()
    return len(chosen)


def _types(argument: str) -> Any:
    from numba import types

    scalars = {"i8": types.int64, "u8": types.uint64, "u1": types.uint8, "f8": types.float64}
    name = argument.removeprefix("const ")
    base, bracket, dims = name.partition("[")
    if not bracket:
        return scalars[base]
    return types.Array(scalars[base], dims.count(":"), "C", readonly=name != argument)


def _helpers(function: Callable[..., Any]) -> set[Callable[..., Any]]:
    found: set[Callable[..., Any]] = set()
    open_ = [function]
    while open_:
        one = open_.pop()
        named = (one.__globals__.get(name) for name in one.__code__.co_names)
        new = {f for f in named if callable(f) and f in _inlined} - found
        found |= new
        open_.extend(new)
    return found


def _digest(helpers: set[Callable[..., Any]]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted({f.__module__ for f in helpers}):
        path = inspect.getsourcefile(sys.modules[name])
        if path is not None and Path(path).is_file():
            digest.update(Path(path).read_bytes())
    return digest.digest()


def _compile(function: Callable[P, None], arguments: tuple[str, ...]) -> Callable[P, None]:
    from numba import njit, types
    from numba.extending import register_jitable

    helpers = _helpers(function)
    for helper in helpers - _registered:
        register_jitable(error_model="numpy")(helper)
        _registered.add(helper)
    signature = types.void(*(_types(a) for a in arguments))
    dispatcher = njit(nogil=True, error_model="numpy")(function)
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # numba's way of saying that no cache directory can be written
        pass
    else:
        # numba's cache notices a change of the kernel's own file only; kernels also hold code of inlined functions.
        file = dispatcher._cache._cache_file
        file._source_stamp = (file._source_stamp, _digest(helpers))
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    compiled: Callable[P, None] = dispatcher
    return compiled
