"""A rate budget: so much weight a window, and silence when the server asks for it."""

import asyncio

from candlewick.kernel.clock import NS_PER_SECOND, Clock


class RateBudget:
    """Weight that may be spent in each window of ``window_s`` seconds, aligned to the epoch as exchanges count.

    Share one per process and server: the server counts by address. ``observe`` takes the server's own count where it
    is higher (other processes spend from the same address); ``silence`` holds every spender until the pause is over.
    Waiters are served in the order they came.
    """

    def __init__(self, clock: Clock, *, limit: int, window_s: float = 60.0) -> None:
        self._clock = clock
        self.limit = limit
        self._window_ns = int(window_s * NS_PER_SECOND)
        self._window = -1
        self._used = 0
        self._silent_until = 0
        self._turn = asyncio.Lock()

    def used(self) -> int:
        """Weight spent in the present window, as far as known."""
        self._roll()
        return self._used

    def silent_s(self) -> float:
        """Seconds of silence the server still asks for."""
        return max(0.0, (self._silent_until - self._clock.monotonic_ns()) / NS_PER_SECOND)

    def _roll(self) -> None:
        window = self._clock.now_ns() // self._window_ns
        if window != self._window:
            self._window = window
            self._used = 0

    def wait_s(self, weight: int) -> float:
        """Seconds until ``weight`` may be spent; 0 if now."""
        silent_s = self.silent_s()
        self._roll()
        if self._used + weight <= self.limit or not self._used:
            return silent_s
        left_ns = (self._window + 1) * self._window_ns - self._clock.now_ns()
        return max(silent_s, left_ns / NS_PER_SECOND)

    async def spend(self, weight: int) -> None:
        """Wait until there is room, then take it."""
        async with self._turn:
            while (wait_s := self.wait_s(weight)) > 0:
                await self._clock.sleep(wait_s)
            self._used += weight

    def observe(self, used: int) -> None:
        """The server says that so much is used in the present window."""
        self._roll()
        self._used = max(self._used, used)

    def silence(self, seconds: float) -> None:
        """The server asks for silence; a shorter pause never cuts a longer one."""
        self._silent_until = max(self._silent_until, self._clock.monotonic_ns() + int(seconds * NS_PER_SECOND))
