"""Laws of what a venue is asked: instruments, candles, trades by id, its time, and how it refuses."""

import time
from decimal import Decimal
from typing import Any

import pytest

from candlewick.contracts.base import Origin
from candlewick.contracts.collector import Side
from candlewick.contracts.stream import FINAL
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.decimals import parse_mantissa
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.venue import VenueForbidden, VenueUnavailable
from candlewick.testing.conformance.venue_harness import MINUTE_NS, VenueHarness


class QuestionLaws:
    """Laws 1, 13 to 16, and 19."""

    async def test_01_instruments(self, harness: VenueHarness) -> None:
        venue = await harness.handle()
        found = {i.symbol: i for i in await venue.instruments()}
        assert set(harness.exchange.symbols) <= set(found)
        for i in found.values():
            assert i.symbol == f"{i.base}-{i.quote}"
            assert i.exchange == venue.info.name
            assert parse_mantissa(i.price_tick, i.price_scale) > 0
            assert parse_mantissa(i.size_step, i.size_scale) > 0

    async def test_13_candles(self, harness: VenueHarness) -> None:
        venue, exchange = await harness.handle(), harness.exchange
        symbol = exchange.symbols[0]
        open_ns = (exchange.now_ns // MINUTE_NS - 5) * MINUTE_NS
        for minute in range(6):
            for i in range(3):
                exchange.trade(
                    symbol, f"{100 + minute}.{i}", "0.125", is_buy=i != 1, ts_ns=open_ns + minute * MINUTE_NS
                )
        got = await venue.candles(symbol, "1m", open_ns, open_ns + 10 * MINUTE_NS)
        assert got.open_time.tolist() == [open_ns + m * MINUTE_NS for m in range(5)], "only closed candles"
        assert set(got.flags.tolist()) == {FINAL}
        assert set(got.origin.tolist()) <= {Origin.FETCHED, Origin.SIMULATED}
        assert got.trades.tolist() == [3] * 5

        def value(hi: Any, lo: Any, scale: int) -> Decimal:
            return (Decimal(int(hi)) * 2**64 + int(lo)).scaleb(-scale)

        assert Decimal(int(got.high[1])).scaleb(-got.price_scale) == Decimal("101.2")
        assert Decimal(int(got.open[1])).scaleb(-got.price_scale) == Decimal(101)
        assert value(got.volume_hi[1], got.volume_lo[1], got.size_scale) == Decimal("0.375")
        assert value(got.taker_hi[1], got.taker_lo[1], got.size_scale) == Decimal("0.25")
        quote = value(got.quote_hi[1], got.quote_lo[1], got.price_scale + got.size_scale)
        assert quote == Decimal("0.125") * (Decimal(101) + Decimal("101.1") + Decimal("101.2"))
        part = await venue.candles(symbol, "1m", open_ns + MINUTE_NS, open_ns + 3 * MINUTE_NS)
        assert part.open_time.tolist() == [open_ns + MINUTE_NS, open_ns + 2 * MINUTE_NS]

    async def test_14_trades_by_id(self, harness: VenueHarness) -> None:
        venue, exchange = await harness.handle(), harness.exchange
        symbol = exchange.symbols[0]
        ids = [exchange.trade(symbol, f"{100 + i}.5", "1", is_buy=i % 2 == 0) for i in range(30)]
        got = (await venue.trades(symbol, ids[3], ids[20])).columns_v1
        assert got.trade_id.tolist() == ids[3:21]
        assert [Decimal(p).scaleb(-got.price_scale) for p in got.price.tolist()][:2] == [
            Decimal("103.5"),
            Decimal("104.5"),
        ]
        assert got.side.tolist()[:2] == [Side.SELL, Side.BUY]
        more = await venue.trades(symbol, ids[25], ids[-1] + 100)
        assert more.columns_v1.trade_id.tolist() == ids[25:]

    async def test_15_silence_that_is_asked_for(self, harness: VenueHarness) -> None:
        venue, exchange = await harness.handle(), harness.exchange
        await venue.instruments()
        exchange.refuse(429, 1, retry_after_s=1)
        start = time.monotonic()
        assert await venue.server_time_ns() > 0
        assert time.monotonic() - start > 0.9
        assert not exchange.violations

    async def test_16_refusals(self, harness: VenueHarness) -> None:
        venue, exchange = await harness.handle(), harness.exchange
        exchange.refuse(451, 1)
        with pytest.raises(CandlewickError) as refused:
            await venue.server_time_ns()
        assert isinstance(refused.value, VenueForbidden), "trying again will not serve a refused address"
        asked = exchange.asked
        exchange.refuse(502, 1)
        try:
            assert await venue.server_time_ns() > 0
        except VenueUnavailable:
            pytest.fail("one server error is to be tried again")
        assert exchange.asked == asked + 2
        exchange.refuse(502, 50)
        with pytest.raises(VenueUnavailable):
            await venue.server_time_ns()

    async def test_19_reachable(self, harness: VenueHarness) -> None:
        venue, exchange = await harness.handle(), harness.exchange
        assert await venue.is_reachable(2.0) is True
        assert abs(await venue.server_time_ns() - exchange.now_ns) < 5 * NS_PER_SECOND
        exchange.refuse(503, 1)
        assert await venue.is_reachable(2.0) is False
