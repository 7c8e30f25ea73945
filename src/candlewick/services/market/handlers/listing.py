"""The venue is asked again what it lists; what is new of a followed symbol, and of the whole market, is told."""

from contextlib import suppress
from typing import Any, Final

from candlewick.contracts.market import Instrument, SymbolUpdated
from candlewick.contracts.topics import MARKET_MARKETS, MARKET_SYMBOLS
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import Rejected, Retryable
from candlewick.ports.runtime import Messaging, UnitOfWork
from candlewick.ports.venue import Venue, VenueForbidden, VenueNonsense, VenueRateLimited, VenueUnavailable
from candlewick.services.market.domain.listing import changed, news
from candlewick.services.market.errors import ListingUnknown
from candlewick.services.market.ports import ListingTable, SymbolTable, Turn

_AGAIN_S: Final = 60.0
"""A turn that came to nothing, its process killed or its venue away, is followed by another after so long."""


class Listing:
    """One process of the service asks for all, in turns that the service's database gives out. The others hear of it
    as everybody does, by the events."""

    def __init__(
        self,
        symbols: SymbolTable,
        listings: ListingTable,
        messaging: Messaging,
        clock: Clock,
        logger: Any,
        *,
        every_s: float,
    ) -> None:
        self._symbols, self._listings, self._messaging = symbols, listings, messaging
        self._clock, self._logger = clock, logger
        self._every_ns = int(every_s * NS_PER_SECOND)
        self._again_ns = min(self._every_ns, int(_AGAIN_S * NS_PER_SECOND))
        self._is_told = False

    async def watch(self, venue: Venue) -> None:
        """Look whenever it is this process's turn; until cancelled. A venue that does not answer, or nonsense, is told
        once and asked again later; nothing else comes of it."""
        while True:
            wait_ns = self._again_ns
            try:
                wait_ns = await self.look(venue)
            except (Retryable, Rejected) as error:
                if not self._is_told:
                    self._logger.warning(
                        "the venue's symbols are not looked at yet", exchange=venue.info.name, code=error.code,
                        detail=error.detail,
                    )  # fmt: skip
                self._is_told = True
            await self._clock.sleep(max(1, wait_ns) / NS_PER_SECOND)

    async def look(self, venue: Venue, *, at_once: bool = False) -> int:
        """Ask the venue if it is this process's turn; ``at_once``, unless it was asked within a minute. Returns after
        how many ns it is worth to come again. Raises what the venue raises, and Retryable where the database does not
        answer."""
        exchange = venue.info.name

        async def begin(unit: UnitOfWork) -> Turn:
            return await self._listings.take_turn(
                unit, exchange, self._clock.now_ns(), self._again_ns, self._every_ns, at_once=at_once
            )

        turn: Turn = await self._messaging.unit_of_work(begin)
        if (number := turn.number) is None:
            return turn.wait_ns
        listed = await venue.instruments()
        if not listed:  # no venue closes all its markets at once; believed, it would take every symbol off
            raise VenueNonsense(f"{exchange} must list at least one symbol, was none")

        async def tell(unit: UnitOfWork) -> None:
            now = self._clock.now_ns()
            before = await self._listings.last(unit, exchange)
            if not await self._listings.keep(unit, exchange, number, listed, now + self._every_ns):
                return
            for instrument in changed(await self._symbols.followed(unit, exchange), listed):
                if await self._symbols.update(unit, instrument):
                    unit.emit(MARKET_SYMBOLS.name, SymbolUpdated(instrument), ts_event=now)
            if (word := news(exchange, before, listed)) is not None:
                unit.emit(MARKET_MARKETS.name, word, ts_event=now)

        await self._messaging.unit_of_work(tell)
        if self._is_told:
            self._logger.info("the venue's symbols are looked at again", exchange=exchange)
        self._is_told = False
        return self._every_ns

    async def listed(self, venue: Venue) -> list[Instrument]:
        """What the venue lists: as it said within the last minute, or when it last answered. Raises ListingUnknown
        where it never did."""
        exchange = venue.info.name
        with suppress(VenueUnavailable, VenueRateLimited, VenueForbidden, VenueNonsense):
            await self.look(venue, at_once=True)

        async def read(unit: UnitOfWork) -> list[Instrument] | None:
            return await self._listings.last(unit, exchange)

        last: list[Instrument] | None = await self._messaging.unit_of_work(read)
        if last is None:
            raise ListingUnknown(f"the venue has not said yet what it lists, was {exchange!r}")
        return last

    async def announce(self, exchange: str) -> None:
        """Tell a log that has not heard of it what is known of the market already."""

        async def tell(unit: UnitOfWork) -> None:
            last = await self._listings.last(unit, exchange)
            if last is not None and (word := news(exchange, None, last)) is not None:
                unit.emit(MARKET_MARKETS.name, word, ts_event=self._clock.now_ns())

        await self._messaging.unit_of_work(tell)
