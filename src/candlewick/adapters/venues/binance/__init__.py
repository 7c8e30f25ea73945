"""Binance spot: public market data over WebSocket and REST, without keys."""

import secrets
from typing import Any

from candlewick.adapters.venues.binance.venue import BinanceVenue
from candlewick.kernel.system import SystemClock
from candlewick.ports.venue import Venue


def create(**options: Any) -> Venue:
    """A Binance venue. Options are ``BinanceVenue``'s; clock and randomness default to the machine's."""
    options.setdefault("clock", SystemClock())
    options.setdefault("random", secrets.SystemRandom().random)
    return BinanceVenue(**options)
