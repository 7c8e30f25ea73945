"""Symbols: Binance's spelling and ours."""

from candlewick.adapters.venues.binance.wire import SymbolInfo
from candlewick.contracts.market import Instrument
from candlewick.kernel.decimals import scale_of

NAME = "binance"
# Binance sends every price and size with 8 digits behind the point.
WIRE_SCALE = 8
_QUOTES = (
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD1", "DAI", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL", "JPY", "GBP",
    "AUD", "RUB", "UAH", "ZAR", "PLN", "RON", "ARS", "MXN", "COP", "CZK", "IDRT", "BIDR", "BVND", "PAX", "USDS", "USDP",
    "XRP", "TRX", "DOGE", "DOT", "SOL", "USD",
)  # fmt: skip


def instrument_from(info: SymbolInfo, exchange: str = NAME) -> Instrument:
    """An instrument from ``exchangeInfo``; scales are what tick and step need."""
    tick = next((f.tickSize for f in info.filters if f.filterType == "PRICE_FILTER"), "")
    step = next((f.stepSize for f in info.filters if f.filterType == "LOT_SIZE"), "")
    return Instrument(
        exchange=exchange,
        symbol=f"{info.baseAsset}-{info.quoteAsset}",
        venue_symbol=info.symbol,
        base=info.baseAsset,
        quote=info.quoteAsset,
        price_tick=tick or "0.00000001",
        size_step=step or "0.00000001",
        price_scale=scale_of(tick) if tick else WIRE_SCALE,
        size_scale=scale_of(step) if step else WIRE_SCALE,
        status="trading" if info.status == "TRADING" else info.status.lower(),
    )


def guessed_instrument(venue_symbol: str, exchange: str = NAME) -> Instrument:
    """An instrument known only by its name, as in a recording: the quote is the longest known ending, scales are 8."""
    name = venue_symbol.upper()
    endings = [q for q in _QUOTES if name.endswith(q) and len(name) > len(q)]
    quote = max(endings, key=len) if endings else name[-3:]
    base = name[: -len(quote)] or name
    return Instrument(
        exchange=exchange,
        symbol=f"{base}-{quote}",
        venue_symbol=name,
        base=base,
        quote=quote,
        price_tick="0.00000001",
        size_step="0.00000001",
        price_scale=WIRE_SCALE,
        size_scale=WIRE_SCALE,
    )
