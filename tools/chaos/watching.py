"""How long it took: every service answers again and final candles flow again to every subscriber."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tools.chaos.product import Product
from tools.chaos.schedule import Fault
from tools.chaos.subscribers import Subscriber

_LOOK_S = 0.1
_STEADY_S = 1.0
_SILENCE_S = 3.0
GIVE_UP_S = 90.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """Of one fault. ``at_s`` is when it began, in seconds of the run; ``seconds`` until all was well again, None when
    it was not within GIVE_UP_S; ``silence`` the longest a subscriber heard no final candle. ``first`` and ``last`` are
    the newest open times, ms, that subscribers had when it began and when all was well."""

    fault: Fault
    at_s: float
    seconds: float | None
    silence: float
    first: int
    last: int


class Watch:
    """Follows health and subscribers."""

    def __init__(self, product: Product, subscribers: Sequence[Subscriber]) -> None:
        self._product, self._subscribers = product, subscribers
        #: What all was not well for, at the last look that was not.
        self.why = ""

    def newest(self) -> int:
        """Of the subscriber that is furthest behind."""
        return min(one.newest for one in self._subscribers)

    async def well(self, since: float) -> float | None:
        """Seconds from ``since`` until every service served and every subscriber was told of candles, both for a
        second without a break; None when that was not within GIVE_UP_S."""
        served_from: float | None = None
        while (now := time.monotonic()) < since + GIVE_UP_S:
            missing = [name for name, serves in (await self._product.states()).items() if not serves]
            if missing:
                served_from = None
                self.why = f"{', '.join(missing)} did not serve"
            elif served_from is None:
                served_from = now
            elif now - served_from >= _STEADY_S:
                firsts = [self._first(one, max(served_from, since)) for one in self._subscribers]
                deaf = [one.symbol for one, first in zip(self._subscribers, firsts, strict=True) if first is None]
                if deaf:
                    self.why = f"no candle of {', '.join(deaf)} since all serve"
                else:
                    begun = max(first for first in firsts if first is not None)
                    self.why = "candles did not flow for a second"
                    if self.silence(begun) >= _SILENCE_S:
                        served_from = now  # they stood again: what flowed before does not count
                    elif now - begun >= _STEADY_S:
                        return begun - since
            await asyncio.sleep(_LOOK_S)
        return None

    def silence(self, since: float) -> float:
        """The longest that any subscriber heard of no final candle, from then until now."""
        now, longest = time.monotonic(), 0.0
        for one in self._subscribers:
            times = [since, *(at for at in one.arrivals if at > since), now]
            longest = max(longest, *(b - a for a, b in pairwise(times)))
        return longest

    def _first(self, one: Subscriber, after: float) -> float | None:
        return next((at for at in one.arrivals if at > after), None)
