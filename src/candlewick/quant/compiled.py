"""Numeric kernels: plain functions on arrays that numba compiles once per machine.

``@kernel(...)`` declares a function with an explicit signature; nothing is compiled, and numba is not imported, until
the kernel is first called or ``Kernel.warm()`` runs at start-up. ``@inlined`` marks a plain function that kernels may
call. Compiled code is kept by ``kernel_cache``; where nothing can be written, or an entry is damaged, the kernel is
compiled in memory instead. Code is compiled anew when the kernel's file, a function inlined into it or a constant it
uses changes.

What keeps the bits the same on every machine: no fastmath, no contraction of ``a * b + c`` (numba emits none without
fastmath), and only operations that IEEE 754 rounds exactly: ``+ - * / sqrt``. Kernels do not call exp, log or sin.
"""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, ParamSpec

import numpy as np

from candlewick.quant import kernel_cache
from candlewick.quant.kernel_cache import cache_dir

__all__ = ["Kernel", "cache_dir", "inlined", "is_cached", "kernel", "warm_all"]

P = ParamSpec("P")

_lock = threading.RLock()
_inlined: list[Callable[..., Any]] = []
_registered: set[Callable[..., Any]] = set()
_kernels: list["Kernel[Any]"] = []


class Kernel(Generic[P]):
    """A function on arrays, compiled at first use. Arguments must have the declared types: kernels never copy."""

    def __init__(self, function: Callable[P, None], arguments: tuple[str, ...], *, is_brief: bool = False) -> None:
        self.function = function
        self.arguments = arguments
        self.is_brief = is_brief
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
                self._compiled = _compile(self.function, self.arguments, nogil=not self.is_brief)
            return self._compiled


def kernel(*arguments: str, is_brief: bool = False) -> Callable[[Callable[P, None]], Kernel[P]]:
    """Declare a kernel that returns nothing and writes into its array arguments.

    ``arguments`` name the types in order: ``i8 u8 f8`` for scalars, ``f8[:]`` for a C-contiguous array that is written,
    ``const f8[:]`` for one that is only read; also ``i8 u1 u8`` arrays and ``f8[:,:]``. An argument whose name starts
    with an underscore may be left unused. A kernel lets other threads run meanwhile; one that ``is_brief`` (a few
    microseconds) does not, because whoever lets go of the interpreter among busy threads waits to get it back.
    """

    def declare(function: Callable[P, None]) -> Kernel[P]:
        made = Kernel(function, arguments, is_brief=is_brief)
        _kernels.append(made)
        return made

    return declare


def inlined(function: Callable[..., Any]) -> Any:
    """Mark a plain function as callable from kernels, which name it directly. It stays a plain function in Python."""
    _inlined.append(function)
    return function


def warm_all(prefix: str = "") -> int:
    """Compile or load every kernel declared so far in modules whose name starts with ``prefix``; return how many."""
    chosen = [k for k in _kernels if k.function.__module__.startswith(prefix)]
    for one in chosen:
        one.warm()
    return len(chosen)


def is_cached(prefix: str = "") -> bool:
    """Whether every kernel declared so far in such modules would be loaded, not compiled. Does not import numba."""
    chosen = (k for k in _kernels if k.function.__module__.startswith(prefix))
    return all(_entry(k.function, k.arguments).is_file() for k in chosen)


def _types(argument: str) -> Any:
    from numba import types

    scalars = {"i8": types.int64, "u8": types.uint64, "u1": types.uint8, "f8": types.float64}
    name = argument.removeprefix("const ")
    base, bracket, dims = name.partition("[")
    if not bracket:
        return scalars[base]
    return types.Array(scalars[base], dims.count(":"), "C", readonly=name != argument)


def _parts(function: Callable[..., Any]) -> tuple[set[Callable[..., Any]], set[str]]:
    """What a kernel contains beside its own file: the inlined functions it reaches, and the constants they use."""
    helpers: set[Callable[..., Any]] = set()
    constants: set[str] = set()
    open_ = [function]
    while open_:
        one = open_.pop()
        for name in one.__code__.co_names:
            value = one.__globals__.get(name)
            if callable(value) and value in _inlined and value not in helpers:
                helpers.add(value)
                open_.append(value)
            elif isinstance(value, int | float | tuple | np.generic):
                constants.add(f"{name}={value!r}")
            elif isinstance(value, np.ndarray):
                constants.add(f"{name}={value.dtype}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()}")
    return helpers, constants


def _entry(function: Callable[..., Any], arguments: tuple[str, ...]) -> Path:
    helpers, constants = _parts(function)
    digest = hashlib.sha256("\n".join(sorted(constants)).encode())
    for name in sorted({f.__module__ for f in helpers}):
        digest.update(kernel_cache.content_of(name))
    return kernel_cache.entry(function, digest.digest(), arguments)


def _compile(function: Callable[P, None], arguments: tuple[str, ...], *, nogil: bool) -> Callable[P, None]:
    from numba import njit, types
    from numba.extending import register_jitable

    for helper in _parts(function)[0] - _registered:
        register_jitable(error_model="numpy")(helper)
        _registered.add(helper)
    dispatcher = njit(nogil=nogil, error_model="numpy")(function)
    place = _entry(function, arguments)
    result = kernel_cache.load(place)
    if result is not None:
        dispatcher.add_overload(result)
    else:
        signature = types.void(*(_types(a) for a in arguments))
        dispatcher.compile(signature)
        kernel_cache.save(place, dispatcher.overloads[signature.args])
    dispatcher.disable_compile()
    compiled: Callable[P, None] = dispatcher
    return compiled
