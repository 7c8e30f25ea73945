"""How long to wait before trying again."""

from collections.abc import Callable


class Backoff:
    """Exponential back-off with full jitter: the n-th wait is uniform in [0, min(cap, base * 2**n)].

    Full jitter spreads many clients that lost the same server best
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). ``random`` returns floats in [0, 1).
    """

    def __init__(self, base_s: float, cap_s: float, random: Callable[[], float]) -> None:
        if not 0 < base_s <= cap_s:
            raise ValueError(f"base_s must be positive and not above cap_s {cap_s}, was {base_s!r}")
        self.base_s = base_s
        self.cap_s = cap_s
        self.attempts = 0
        self._random = random

    def next_s(self) -> float:
        """Seconds to wait before the next attempt; counts the attempt."""
        ceiling = min(self.cap_s, self.base_s * 2.0 ** min(self.attempts, 60))
        self.attempts += 1
        return ceiling * self._random()

    def reset(self) -> None:
        """It worked: start over from ``base_s``."""
        self.attempts = 0
