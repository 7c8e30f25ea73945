"""Two processes of the service beside each other: what one is told to follow, the other follows."""

import msgspec

from candlewick.contracts.market import Instrument
from candlewick.kernel.logging import logger
from candlewick.kernel.system import SystemClock
from candlewick.services.market.handlers.market import Market
from candlewick.services.market.settings import MarketSettings


def instrument(symbol, exchange="demo"):
    base, quote = symbol.split("-")
    return Instrument(exchange, symbol, base + quote, base, quote, "0.01", "0.00001", 2, 5)


def test_it_follows_what_the_table_has_and_keeps_what_it_has_of_it():
    settings = msgspec.structs.replace(MarketSettings(), exchange="demo")
    market = Market(settings, None, None, None, SystemClock(), logger("market"))
    kept = market.add_state(instrument("BTC-USDT"))
    market.add_state(instrument("ETH-USDT"))
    elsewhere = market.add_state(instrument("BTC-USDT", "other"))
    market.on_symbols([])
    assert market.symbols_changed.is_set()
    market.agree([instrument("BTC-USDT"), instrument("SOL-USDT")])
    assert set(market.states) == {("demo", "BTC-USDT"), ("demo", "SOL-USDT"), ("other", "BTC-USDT")}
    assert market.states["demo", "BTC-USDT"] is kept, "its windows stay"
    assert market.states["other", "BTC-USDT"] is elsewhere
