"""How many calls may be put a second time."""

from typing import Final

# Where rounding leaves a little less than a whole token after ten tenths.
_WHOLE: Final = 1.0 - 1e-9


class RetryBudget:
    """A bucket of tokens: each call adds ``share`` of one, each retry takes a whole one.

    So retries stay a tenth of the calls at ``share`` 0.1, after a burst of ``reserve`` at most: a server in trouble is
    not given once more the load that it could not bear
    (https://sre.google/sre-book/handling-overload/#deciding-to-retry-PVSBC0).
    """

    def __init__(self, *, share: float = 0.1, reserve: float = 10.0) -> None:
        if not (0 <= share <= 1 and reserve >= 1):
            raise ValueError(f"share must be 0 to 1 and reserve at least 1, was {(share, reserve)!r}")
        self._share, self._reserve = share, reserve
        self._tokens = reserve

    def called(self) -> None:
        """A call was made, its retries not counted."""
        self._tokens = min(self._reserve, self._tokens + self._share)

    def take(self) -> bool:
        """Whether one retry may be made; takes its token."""
        if self._tokens < _WHOLE:
            return False
        self._tokens = max(0.0, self._tokens - 1.0)
        return True
