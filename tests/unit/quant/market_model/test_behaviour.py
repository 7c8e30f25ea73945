"""The demo market behaves like a market: correlated, clustered, heavy-tailed, with a daily rhythm, near its anchors."""

import numpy as np
import pytest

from candlewick.quant.market_model.model import DAY_MS, MINUTE_MS, MarketModel
from candlewick.quant.market_model.symbols import DEFAULT

NS = 1_000_000
NOW = 1_795_000_000_000 // DAY_MS * DAY_MS


def returns(month, model, step):
    """Log returns over ``step`` minutes, a row for each symbol; minutes of a halt take the last price."""
    rows = []
    for symbol in model.symbols:
        candles = month[symbol]
        at = np.searchsorted(candles.open_time, np.arange(NOW - 30 * DAY_MS, NOW, MINUTE_MS), side="right") - 1
        rows.append(np.diff(np.log(candles.close[np.maximum(at, 0)][::step])))
    return np.array(rows)


def test_returns_correlate_as_built(model, month):
    measured = np.corrcoef(returns(month, model, 60))
    np.testing.assert_allclose(measured, model.correlation(), atol=0.12)
    assert np.corrcoef(returns(month, model, 1)).min() > 0.35


def test_volatility_clusters_and_tails_are_heavy(model, month):
    for moves in returns(month, model, 1):
        squared = moves**2
        assert np.corrcoef(squared[:-1], squared[1:])[0, 1] > 0.05
        size = np.abs(moves)
        for lag, least in ((1, 0.12), (10, 0.06), (60, 0.03)):
            assert np.corrcoef(size[:-lag], size[lag:])[0, 1] > least
        assert np.mean((moves - moves.mean()) ** 4) / moves.var() ** 2 > 5.0


def test_no_symbol_drifts_away_in_fifty_years():
    model = MarketModel(seed=3)
    for profile in DEFAULT:
        borders = [model._block(profile.symbol, number).x[:-1] for number in range(300, 870)]
        level = np.concatenate(borders)
        daily = np.diff(level) * np.log(2.0)
        assert np.abs(level).max() < 4.0  # within 16 times the anchor
        assert np.abs(level.mean()) < 0.6
        assert daily.std() == pytest.approx(profile.daily_move, rel=0.15)


def test_prices_are_near_their_anchors(model, month):
    for profile in DEFAULT:
        candles = month[profile.symbol]
        price = candles.close / 10.0**candles.price_scale
        assert 0.2 < price.mean() / profile.anchor < 5.0
        assert (candles.low <= np.minimum(candles.open, candles.close)).all()
        assert (candles.high >= np.maximum(candles.open, candles.close)).all()


def test_days_have_a_rhythm(month):
    candles = month["BTC-USDT"]
    hour = candles.open_time // 3_600_000 % 24
    assert candles.trades[(hour >= 13) & (hour < 17)].mean() > 1.15 * candles.trades[(hour >= 2) & (hour < 6)].mean()
    assert candles.trades.max() > 5 * candles.trades.mean()


def test_trades_come_in_bursts_with_heavy_tailed_sizes(model):
    trades = model.trades("BTC-USDT", (NOW - 5 * DAY_MS) * NS, (NOW - 4 * DAY_MS) * NS)
    waits = np.diff(trades.ts_event // NS)
    assert waits.std() > 1.2 * waits.mean()  # 1 without bursts
    together = waits == 0
    assert 0.05 < together.mean() < 0.3
    assert (trades.side[1:] == trades.side[:-1])[together].mean() > 0.95
    assert (trades.side[1:] == trades.side[:-1]).mean() > 0.6
    largest = np.sort(trades.size)[-(trades.trade_id.size // 100) :]
    assert largest.sum() > 0.1 * trades.size.sum()
    assert 0.4 < trades.side.mean() < 0.6


def test_volume_follows_volatility(month):
    for candles in month.values():
        reach = (candles.high - candles.low) / candles.open
        assert np.corrcoef(np.log(reach + 1e-6), np.log(candles.volume))[0, 1] > 0.3
