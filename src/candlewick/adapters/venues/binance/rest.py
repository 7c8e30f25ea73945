"""Binance's public spot REST: one client, one weight budget, one breaker.

Weights and limits: binance-spot-api-docs, ``rest-api.md`` (exchangeInfo 20, depth 5-250 by limit, trades and
historicalTrades 25, klines 2, time and ping 1; 6,000 a minute and address).
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import httpx
import msgspec

from candlewick.adapters.venues.binance import wire
from candlewick.kernel.clock import Clock
from candlewick.kernel.net.backoff import Backoff
from candlewick.kernel.net.breaker import CircuitBreaker, CircuitOpen
from candlewick.kernel.net.budget import RateBudget
from candlewick.ports.venue import (
    UnknownSymbol,
    VenueForbidden,
    VenueNonsense,
    VenueRateLimited,
    VenueUnavailable,
)

T = TypeVar("T")
WEIGHT_A_MINUTE: Final = 6000
# A fifth is left to whatever else speaks to Binance from this address.
_SHARE: Final = 0.8
_DEFAULT_PAUSE_S: Final = 60.0
_BAD_SYMBOL: Final = -1121
_USED_HEADER: Final = "x-mbx-used-weight-1m"
# Longer silences are the caller's to wait for: a request that sleeps through a ban of days is a hang.
_PATIENCE_S: Final = 75.0


def depth_weight(limit: int) -> int:
    """Weight of a depth request by its limit."""
    return next((w for top, w in ((100, 5), (500, 25), (1000, 50)) if limit <= top), 250)


class BinanceRest:
    """Asks Binance, within its limits.

    429 and 418: everything that shares the budget stays silent for Retry-After; the call waits for it and tries again
    up to ``retries`` times, or raises VenueRateLimited when the silence is longer than 75 s. 403 and 451:
    VenueForbidden. 5xx, time-outs and broken connections: tried again with back-off, then VenueUnavailable; after five
    failures in a row the breaker opens and calls fail at once until it has closed again.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        clock: Clock,
        random: Callable[[], float],
        *,
        budget: RateBudget | None = None,
        breaker: CircuitBreaker | None = None,
        retries: int = 3,
        backoff_s: float = 0.25,
        backoff_cap_s: float = 5.0,
    ) -> None:
        self._http = http
        self._clock = clock
        self._random = random
        self.budget = budget or RateBudget(clock, limit=int(WEIGHT_A_MINUTE * _SHARE))
        self.breaker = breaker or CircuitBreaker(clock)
        self._retries = retries
        self._backoff_s = backoff_s
        self._backoff_cap_s = backoff_cap_s

    async def get(self, path: str, params: Mapping[str, str | int], weight: int, decode: Callable[[bytes], T]) -> T:
        """The decoded reply. Raises the venue errors of ``ports.venue``."""
        raw = await self.raw(path, params, weight)
        try:
            return decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise VenueNonsense(f"GET {path} must answer what is documented ({error}), was {raw[:120]!r}") from error

    async def raw(self, path: str, params: Mapping[str, str | int], weight: int) -> bytes:
        """The body of a reply with status 200."""
        backoff = Backoff(self._backoff_s, self._backoff_cap_s, self._random)
        while True:
            try:
                return await self._once(path, params, weight)
            except VenueRateLimited as error:
                if backoff.attempts >= self._retries or error.retry_after_s > _PATIENCE_S:
                    raise
                backoff.next_s()  # the budget's silence is the wait
            except VenueUnavailable:
                if backoff.attempts >= self._retries:
                    raise
                await self._clock.sleep(backoff.next_s())

    async def _once(self, path: str, params: Mapping[str, str | int], weight: int) -> bytes:
        silent_s = self.budget.silent_s()
        if silent_s > _PATIENCE_S:
            raise VenueRateLimited(f"the venue asked for {silent_s:.0f} s of silence", retry_after_s=silent_s)
        await self.budget.spend(weight)
        try:
            self.breaker.check()
        except CircuitOpen as error:
            raise VenueUnavailable(f"GET {path} was not tried: {error.detail}") from error
        try:
            reply = await self._http.get(path, params=dict(params))
        except httpx.HTTPError as error:
            self.breaker.failed()
            raise VenueUnavailable(f"GET {path} failed: {type(error).__name__}") from error
        except BaseException:
            self.breaker.abandoned()
            raise
        return self._judged(path, params, reply)

    def _judged(self, path: str, params: Mapping[str, str | int], reply: httpx.Response) -> bytes:
        used = reply.headers.get(_USED_HEADER, "")
        if used.isdigit():
            self.budget.observe(int(used))
        status = reply.status_code
        if status >= 500:
            self.breaker.failed()
            raise VenueUnavailable(f"GET {path} answered {status}")
        self.breaker.succeeded()
        if status == 200:
            return reply.content
        if status in {418, 429}:
            pause_s = self._pause_s(reply)
            self.budget.silence(pause_s)
            what = "banned this address" if status == 418 else "asked for fewer requests"
            raise VenueRateLimited(f"the venue {what} ({status}) for {pause_s:.0f} s", retry_after_s=pause_s)
        if status in {403, 451}:
            raise VenueForbidden(
                f"GET {path} answered {status}",
                hint="The venue does not serve this address or region; set another base URL",
            )
        error = self._error(reply)
        if error.code == _BAD_SYMBOL:
            raise UnknownSymbol(f"the venue must list the symbol, was {params.get('symbol')!r}")
        raise VenueNonsense(f"GET {path} answered {status} ({error.code}: {error.msg}), was {dict(params)!r}")

    @staticmethod
    def _pause_s(reply: httpx.Response) -> float:
        try:
            return max(0.0, min(float(reply.headers.get("retry-after", "")), 3 * 86_400.0))
        except ValueError:
            return _DEFAULT_PAUSE_S

    @staticmethod
    def _error(reply: httpx.Response) -> wire.ErrorReply:
        try:
            return msgspec.json.decode(reply.content, type=wire.ErrorReply)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return wire.ErrorReply(msg=reply.text[:120])
