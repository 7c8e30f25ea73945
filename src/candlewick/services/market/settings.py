"""Settings of the market service."""

from typing import Annotated

import msgspec
from msgspec import Meta

DEFAULT_SYMBOLS = (
    "BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "BNB-USDT", "DOGE-USDT", "ADA-USDT", "AVAX-USDT",
)  # fmt: skip


class MarketSettings(msgspec.Struct, frozen=True):
    """What is followed, and how much of it is kept in memory."""

    exchange: Annotated[str, Meta(description="Venue whose symbols are followed on the first start.")] = "demo"
    symbols: Annotated[
        tuple[str, ...], Meta(description="Symbols followed on the first start; later ones are added over the API.")
    ] = DEFAULT_SYMBOLS
    ring_size: Annotated[int, Meta(ge=1500, le=100_000, description="Candles of each timeframe kept in memory.")] = 1500
    refresh_minutes: Annotated[
        float, Meta(gt=0, le=10_080, description="Minutes after which the venue is asked again what it lists.")
    ] = 60
