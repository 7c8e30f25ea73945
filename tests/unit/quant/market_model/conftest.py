"""One market for all tests of this folder, and its last month of candles."""

import pytest

from candlewick.quant.market_model.model import DAY_MS, MarketModel

NOW = 1_795_000_000_000 // DAY_MS * DAY_MS


@pytest.fixture(scope="module")
def model():
    return MarketModel(seed=1)


@pytest.fixture(scope="module")
def month(model):
    return {symbol: model.candles(symbol, NOW - 30 * DAY_MS, NOW) for symbol in model.symbols}
