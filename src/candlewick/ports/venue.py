"""A venue: an exchange as a source of market data (accounts and orders come with later ports).

Inside, symbols are BASE-QUOTE; an adapter alone knows the venue's own spelling. REST calls respect the venue's rate
limits by themselves: they wait for budget, honour Retry-After, and after a ban (HTTP 418 at Binance) stay silent until
it ends. A feed keeps itself connected: it subscribes in batches, answers pings, treats silence like a disconnect,
reconnects with jittered back-off behind a circuit breaker, resubscribes, checks book sequences and fetches a fresh
snapshot when one breaks, and says in ``Progress`` how far its trades are complete [3]. The socket is always drained
[16]: trades are never dropped (they wait in a spool on disk when the sink is slow), quotes and books conflate.
Nonsense from the venue is reported to the sink with a stable code and counted; it never stops the feed.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from candlewick.contracts.base import Message
from candlewick.contracts.collector import TradeBatch
from candlewick.contracts.market import Instrument
from candlewick.contracts.stream import CandleColumns
from candlewick.kernel.errors import Rejected, Retryable


class VenueUnavailable(Retryable):
    """The venue did not answer, or answered with a server error."""

    code = "VENUE_UNAVAILABLE"


class VenueRateLimited(Retryable):
    """The venue asks for silence; ``retry_after_s`` says how long."""

    code = "VENUE_RATE_LIMITED"

    def __init__(self, detail: str, *, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class VenueForbidden(Rejected):
    """The venue refuses this address or region (HTTP 403, 451)."""

    code = "VENUE_FORBIDDEN"


class VenueNonsense(Rejected):
    """The venue sent what its documentation does not allow."""

    code = "VENUE_NONSENSE"


class UnknownSymbol(Rejected):
    """The venue does not list the symbol."""

    code = "UNKNOWN_SYMBOL"


NONSENSE: dict[str, str] = {
    "BAD_FRAME": "A frame that is not the JSON the venue documents; skipped.",
    "BAD_TYPE": "A field of a frame has another type than documented; the frame is skipped.",
    "BAD_DECIMAL": "A number that is no finite plain decimal; the frame is skipped.",
    "BAD_PRICE": "A price that is not positive; the trade is skipped and its id becomes a gap.",
    "BAD_SIZE": "A size that is not positive; the trade is skipped and its id becomes a gap.",
    "UNKNOWN_STREAM": "A stream nobody asked for; skipped.",
    "UNKNOWN_SYMBOL": "An event of a symbol nobody asked for; skipped.",
    "UNKNOWN_SNAPSHOT": "A book snapshot that cannot be told to belong to one book; skipped.",
    "SYMBOL_MISMATCH": "The event's symbol is not its stream's; skipped.",
    "CLOCK_JUMP": "An event time far from venue time; the event is skipped, a trade's id becomes a gap.",
    "CLOCK_OFF": "This machine's clock and the venue's disagree by a minute or more; the venue's is taken.",
    "ID_WENT_BACK": "A newer trade with an older id; skipped.",
    "ID_JUMPED": "A trade id far ahead that the next trade did not confirm; skipped.",
    "SCALE_WIDENED": "More digits than the tick allows; nothing is lost, the symbol's scale grows.",
    "BOOK_SEQUENCE": "A hole in a book's update numbers; the book starts over from a fresh snapshot.",
    "BOOK_CROSSED": "Best bid not below best ask; the book starts over from a fresh snapshot.",
    "NO_SNAPSHOT": "A book snapshot could not be fetched; it is asked again, trades are not affected.",
    "PARSER_FAULT": "Our parser failed on a frame: a fault of ours; the frame is in the archive of raw frames.",
    "REQUEST_REFUSED": "The venue refused a subscription; it is asked again on a new connection.",
    "SPOOL_FULL": "The trade spool, or its disk, is full; the trades were dropped and reported as a gap.",
    "SPOOL_CORRUPT": "A spooled record was damaged; it is skipped and found again as a gap by id.",
    "TRUNCATED_FILE": "A recording ends in the middle of a record; everything before it is used.",
    "BAD_LINE": "A recording's line without a receive time; skipped.",
}


class Sink(Protocol):
    """Where a feed puts what it understood. Called on the event loop; must not block."""

    def message(self, message: Message, ts_recv: int) -> None:
        """TradeBatch, Progress, QuoteUpdated, BookUpdated, GapSuspected or ConnectionChanged."""
        ...

    def frame(self, ts_recv: int, raw: bytes) -> None:
        """Every raw frame before it is parsed, for the recorder and the archive ring [19]."""
        ...

    def nonsense(self, code: str, detail: str, raw: bytes) -> None:
        """What the venue should not have sent; ``code`` is a key of ``NONSENSE``, ``raw`` may be empty."""
        ...

    def is_congested(self) -> bool:
        """True while trades should go to the feed's spool instead."""
        ...


class Feed(Protocol):
    """A running subscription to a venue's live data."""

    async def run(self) -> None:
        """Until cancelled or closed. Raises only VenueForbidden and programming errors."""
        ...

    async def follow(self, symbols: Sequence[str]) -> None: ...

    async def unfollow(self, symbols: Sequence[str]) -> None: ...

    def learn(self, instruments: Sequence[Instrument]) -> None:
        """What is known of symbols from now on, followed or to be followed. Trades of a followed one go on without a
        break, with the digits of its new scales and never with fewer than before; one that the venue calls by another
        name is to be unfollowed first."""
        ...

    def waiting_bytes(self) -> int:
        """Of trades that wait on disk because the sink is congested."""
        ...

    async def close(self) -> None: ...


class FrameParser(Protocol):
    """Raw frames to messages; the same code for the live feed and for recordings.

    Time is the frames' receive time alone, so the same frames give the same messages. Progress of a symbol opens every
    living stretch with ``feed_alive`` false: between two Progress messages the feed was proven alive exactly when the
    second has ``feed_alive``.
    """

    def parse(self, ts_recv: int, raw: bytes, sink: Sink) -> None:
        """Understands one frame; trades are gathered until ``flush`` or until a batch is full."""
        ...

    def parse_many(self, frames: Sequence[tuple[int, bytes]], sink: Sink) -> None:
        """As ``parse`` for each, faster: the same trades in the same batches; other messages may come later."""
        ...

    def flush(self, ts_recv: int, sink: Sink) -> None:
        """Hands over the gathered trades, one TradeBatch a symbol, then Progress where due."""
        ...

    def finish(self, ts_recv: int, sink: Sink) -> None:
        """The frames end here: hands over everything, with a last Progress."""
        ...

    def checkpoint(self) -> bytes:
        """After ``flush``: opaque state of trades, ids and Progress (books and quotes start over)."""
        ...

    def restore(self, saved: bytes) -> None:
        """Makes a fresh parser go on where ``checkpoint`` was taken, as if there had been no break. Raises Corrupt."""
        ...


class VenueInfo(msgspec.Struct, frozen=True):
    """Facts about a venue that do not change while it runs."""

    name: str
    title: str
    simulated: bool
    candle_timeframes: tuple[str, ...]
    candles_per_request: int


class Venue(Protocol):
    @property
    def info(self) -> VenueInfo: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def is_reachable(self, timeout_s: float) -> bool: ...

    async def instruments(self) -> Sequence[Instrument]: ...

    async def server_time_ns(self) -> int: ...

    async def candles(self, symbol: str, timeframe: str, start_ns: int, end_ns: int) -> CandleColumns:
        """Closed candles with open time in [start_ns, end_ns), oldest first, origin FETCHED; pages by itself."""
        ...

    async def trades(self, symbol: str, first_id: int, last_id: int) -> TradeBatch:
        """Trades by id, inclusive; fewer when the venue no longer has them."""
        ...

    def parser(self, instruments: Sequence[Instrument]) -> FrameParser:
        """A parser for recordings; without instruments it takes on symbols as they appear, at the venue's digits."""
        ...

    def feed(self, symbols: Sequence[str], instruments: Sequence[Instrument], sink: Sink) -> Feed: ...
