"""What the parser keeps per symbol: trades on their way, the book, the quote, and the scales they share."""

from candlewick.adapters.venues._books.quote import QuoteConflator
from candlewick.adapters.venues._trades.gather import GathererState, TradeGatherer
from candlewick.adapters.venues.binance.depth import DepthBook
from candlewick.adapters.venues.binance.instruments import WIRE_SCALE
from candlewick.adapters.venues.binance.numbers import divisor_for, from_float
from candlewick.contracts.base import Origin
from candlewick.contracts.market import Instrument
from candlewick.kernel.decimals import INT64_MAX, MAX_SCALE, BadDecimal, parse_mantissa, scale_of
from candlewick.ports.venue import Sink

_PAUSE_WEIGHT = 0.02
_FAR_LONGER = 50
INFINITY = float("inf")


class SymbolState:
    """One followed symbol of one connection."""

    def __init__(
        self,
        instrument: Instrument,
        *,
        batch: int,
        origin: Origin,
        aggregated: bool,
        quote_ns: int,
        book_ns: int,
        book_levels: int,
    ) -> None:
        exchange, symbol = instrument.exchange, instrument.symbol
        self.instrument = instrument
        self.trades = TradeGatherer(
            exchange,
            symbol,
            instrument.price_scale,
            instrument.size_scale,
            batch=batch,
            origin=origin,
            aggregated=aggregated,
        )
        self.quote = QuoteConflator(exchange, symbol, every_ns=quote_ns, origin=origin)
        self.book = DepthBook(exchange, symbol, levels=book_levels, every_ns=book_ns, origin=origin)
        self._set_scales(instrument.price_scale, instrument.size_scale)
        self.book.scales = (instrument.price_scale, instrument.size_scale)
        self._last_recv = 0
        self._usual_ns = 0.0

    def _set_scales(self, price_scale: int, size_scale: int) -> None:
        self.price_scale = price_scale
        self.size_scale = size_scale
        self.price_divisor = divisor_for(price_scale)
        self.size_divisor = divisor_for(size_scale)

    def heard(self, ts_recv: int, frames: int = 1) -> None:
        """Frames of this symbol came, the last now; keeps a running mean of the pauses between them."""
        if self._last_recv:
            pause = (ts_recv - self._last_recv) / frames
            self._usual_ns += (pause - self._usual_ns) * min(1.0, _PAUSE_WEIGHT * frames)
        self._last_recv = ts_recv

    def is_silent(self, ts_recv: int, at_least_ns: int) -> bool:
        """Whether nothing came for far longer than usual; the next such answer needs twice the time."""
        if not self._last_recv or ts_recv - self._last_recv <= max(at_least_ns, _FAR_LONGER * self._usual_ns):
            return False
        self._usual_ns = 2 * (ts_recv - self._last_recv) / _FAR_LONGER
        self._last_recv = ts_recv
        return True

    def restore(self, saved: GathererState) -> None:
        """Go on with trades where another parser stood; book and quote start over."""
        self.trades.restore(saved)
        self._set_scales(saved.price_scale, saved.size_scale)
        self.book.scales = (saved.price_scale, saved.size_scale)

    def fast(self, price: float, size: float) -> tuple[int, int]:
        """Exact mantissas of a trade's price and size read as floats; -1 where the digits must be parsed."""
        if not (self.price_divisor and self.size_divisor):
            return -1, -1
        return from_float(price, self.price_divisor), from_float(size, self.size_divisor)

    def level(self, price: float, size: float) -> tuple[int, int]:
        """Mantissas of a level at the book's scales. Raises BadDecimal for what no level can be, and for a price finer
        than the book's scale (``finer_book`` helps then).

        Sizes are rounded where they do not fit: orders from before a coarser step stay in books for years (BTC-USDT
        holds three sizes of six digits at a step of five), and nothing is summed from a book.
        """
        price_scale, size_scale = self.book.scales
        p = (
            from_float(price, divisor_for(price_scale))
            if price_scale <= WIRE_SCALE
            else round(price * 10.0**price_scale)
        )
        if p <= 0 or not 0.0 <= size < INFINITY:
            raise BadDecimal(f"a level needs a price on the book's scale and no negative size, was {(price, size)!r}")
        q = round(size * 10.0**size_scale)
        if q > INT64_MAX:
            raise BadDecimal(f"the size does not fit 64 bits at scale {size_scale}, was {size!r}")
        return p, max(q, 1) if size else 0

    def finer_book(self) -> bool:
        """Let the book hold every digit of a price that the venue can send; False when it already does."""
        price_scale, size_scale = self.book.scales
        if price_scale >= WIRE_SCALE:
            return False
        self.book.rescale(WIRE_SCALE, size_scale)
        return True

    def widen_for(self, price: str, size: str, ts_recv: int, sink: Sink) -> bool:
        """Take finer scales when the venue sends more digits than its tick said. False when that is not the trouble."""
        needed = max(self.price_scale, scale_of(price)), max(self.size_scale, scale_of(size))
        if needed == (self.price_scale, self.size_scale) or max(needed) > MAX_SCALE:
            return False
        try:
            parse_mantissa(price, needed[0])
            parse_mantissa(size, needed[1])
        except BadDecimal:
            return False
        return self.widen(*needed, ts_recv, sink)

    def widen(self, price_scale: int, size_scale: int, ts_recv: int, sink: Sink) -> bool:
        """Go on with at least these scales; False when they are no finer than before."""
        needed = max(self.price_scale, price_scale), max(self.size_scale, size_scale)
        if needed == (self.price_scale, self.size_scale):
            return False
        self.trades.widen(*needed, ts_recv, sink)
        self._set_scales(*needed)
        self.book.rescale(max(needed[0], self.book.scales[0]), max(needed[1], self.book.scales[1]))
        return True
