"""The eight symbols of the demo market: what a venue would say of them, and how they move."""

from dataclasses import dataclass

import numpy as np

from candlewick.contracts.market import Instrument
from candlewick.quant.market_model.columns import Floats

EXCHANGE = "demo"


@dataclass(frozen=True, slots=True)
class SymbolProfile:
    """One symbol of the model.

    ``anchor`` is the price it returns to; ``daily_move`` the standard deviation of a day's log return; ``market_share``
    its correlation with the common factor (two symbols correlate by the product); ``trades_a_minute`` the mean rate;
    ``typical_notional`` in quote currency sets the sizes; one tick is 10**-price_scale, one lot 10**-size_scale.
    """

    base: str
    anchor: float
    price_scale: int
    size_scale: int
    daily_move: float
    market_share: float
    trades_a_minute: int
    typical_notional: float
    quote: str = "USDT"

    @property
    def symbol(self) -> str:
        return f"{self.base}-{self.quote}"

    @property
    def instrument(self) -> Instrument:
        """The symbol as a venue lists it."""
        return Instrument(
            exchange=EXCHANGE,
            symbol=self.symbol,
            venue_symbol=f"{self.base}{self.quote}",
            base=self.base,
            quote=self.quote,
            price_tick=_unit(self.price_scale),
            size_step=_unit(self.size_scale),
            price_scale=self.price_scale,
            size_scale=self.size_scale,
        )

    def numbers(self) -> Floats:
        """The profile as the kernels take it; places are named in ``path``."""
        ticks = self.anchor * 10.0**self.price_scale
        lots = self.typical_notional / self.anchor * 10.0**self.size_scale
        values = np.array([ticks, self.daily_move, self.market_share, self.trades_a_minute, max(lots, 1.0)])
        values.setflags(write=False)
        return values


def _unit(scale: int) -> str:
    return f"0.{'0' * (scale - 1)}1" if scale else "1"


DEFAULT = (
    SymbolProfile("BTC", 60_000.0, 2, 5, 0.025, 0.92, 30, 1_200.0),
    SymbolProfile("ETH", 3_000.0, 2, 4, 0.032, 0.93, 26, 900.0),
    SymbolProfile("SOL", 150.0, 2, 3, 0.042, 0.85, 18, 500.0),
    SymbolProfile("XRP", 0.6, 4, 0, 0.038, 0.76, 16, 400.0),
    SymbolProfile("BNB", 580.0, 2, 3, 0.027, 0.82, 12, 500.0),
    SymbolProfile("DOGE", 0.15, 5, 0, 0.048, 0.80, 14, 350.0),
    SymbolProfile("ADA", 0.45, 4, 1, 0.04, 0.82, 10, 300.0),
    SymbolProfile("AVAX", 30.0, 2, 2, 0.045, 0.84, 10, 300.0),
)
