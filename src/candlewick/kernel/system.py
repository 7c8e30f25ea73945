"""The machine's clock and randomness. Pure code must not import this module (a linter refuses)."""

import asyncio
import contextlib
import gc
import os
import sys
import threading
import time
from typing import Final
from uuid import UUID

from candlewick.kernel.ids import uuid7


class SystemClock:
    """The clock of this machine."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)


_DRAW: Final = 4096  # bytes of randomness asked of the system at once: a call costs more than an id


class SystemIds:
    """UUIDv7 from the machine's clock; within one millisecond the random part counts up (RFC 9562, 6.2, method 2).

    Any thread may ask. A forked child must make its own: it would draw the same randomness as its parent.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ms = 0
        self._random = 0
        self._drawn = b""
        self._at = 0

    def new(self) -> UUID:
        with self._lock:
            now_ms = time.time_ns() // 1_000_000
            if now_ms > self._last_ms:
                self._last_ms = now_ms
                self._random = self._bits(10) >> 7  # 73 of the 74 bits: one is left for counting up
            else:
                self._random += 1 + self._bits(4)
            return uuid7(self._last_ms, self._random)

    def _bits(self, count: int) -> int:
        if self._at + count > len(self._drawn):
            self._drawn, self._at = os.urandom(_DRAW), 0
        self._at += count
        return int.from_bytes(self._drawn[self._at - count : self._at], "big")


# How long another thread may keep the interpreter while the loop waits: with Python's 5 ms a send to the log had a
# p99 of 335-378 ms on a loaded two-core machine, with this 116 ms.
_SWITCH_S: Final = 0.0005
# Young objects before the collector looks at them: messages are made and let go by the thousand, and are no cycles.
_YOUNG: Final = 2_000


def suit_an_event_loop() -> None:
    """Make this process one in which threads leave room to a loop: called once, before the loop runs."""
    sys.setswitchinterval(_SWITCH_S)
    gc.set_threshold(_YOUNG, 10, 10)


def settle() -> None:
    """Everything that stays has been made: the garbage collector need not look at it again (20-80 ms a time)."""
    gc.freeze()


def step_back(niceness: int) -> None:
    """Lower the calling thread's claim to the processor, so that where cores are few the loop hears its sockets first.

    ``niceness`` as in nice(2): 5 claims a third of the loop's share when both want all. Not more: other programs of
    the machine would go first too. Linux only; elsewhere, and where it is not allowed, nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
