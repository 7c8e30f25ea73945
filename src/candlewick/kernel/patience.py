"""Waiting out what passes by itself: told once, tried again with back-off, told when it is over."""

from typing import Any, Final

from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import Retryable

_FIRST_S: Final = 0.05
_MOST_S: Final = 5.0


class Patience:
    """One thing that is tried again until it succeeds. ``refusal`` is why it waits now, None while it does not."""

    def __init__(self, clock: Clock, logger: Any, what: str, *, most_s: float = _MOST_S) -> None:
        """``what`` waits, in words for the log."""
        self._clock, self._logger, self._what, self._most_s = clock, logger, what, most_s
        self._delay_s = _FIRST_S
        self.refusal: Retryable | None = None

    async def wait(self, error: Retryable) -> None:
        """Say so, unless it was said, and let some time pass."""
        if self.refusal is None or self.refusal.code != error.code:
            self._logger.error(f"{self._what} waits; it is tried again", code=error.code, detail=str(error))
        self.refusal = error
        await self._clock.sleep(self._delay_s)
        self._delay_s = min(self._delay_s * 2, self._most_s)

    def over(self) -> None:
        """It has succeeded."""
        if self.refusal is not None:
            self._logger.info(f"{self._what} goes on", waited_for=self.refusal.code)
        self.refusal, self._delay_s = None, _FIRST_S
