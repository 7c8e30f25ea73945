"""A sink that is slow: the socket is drained, trades wait in order, what is dropped is told."""

import asyncio
from pathlib import Path

from candlewick.adapters.venues._connection.dialect import Limits
from candlewick.contracts.collector import GapSuspected, Progress, QuoteUpdated
from candlewick.kernel.system import SystemClock
from candlewick.testing.binance.server import FakeBinance
from tests.integration.binance_bench import FAST, bench, until


async def test_a_slow_sink_slows_nobody_and_loses_no_trade(tmp_path: Path) -> None:
    """Law 16: the socket is drained, trades wait on disk in order, quotes conflate."""
    async with bench(spool=tmp_path / "spool") as b:
        await b.alive()
        b.sink.congested = True
        before = len(b.sink.of(QuoteUpdated))
        for i in range(400):
            b.fake.trade("BTCUSDT", f"{100 + i % 7}")
            b.fake.quote("BTCUSDT", f"{90 + i % 5}.00000000", "101.00000000")
            await asyncio.sleep(0.0005)
        await until(lambda: len([1 for _, raw in b.sink.frames if b"@trade" in raw]) == 400)
        await asyncio.sleep(0.05)
        assert b.ids() == []
        assert list((tmp_path / "spool").iterdir())
        b.sink.congested = False
        await until(lambda: len(b.ids()) == 400)
        assert b.ids() == list(range(1, 401))
        assert len(b.sink.of(QuoteUpdated)) <= before + 2
        assert not b.sink.of(GapSuspected)
        last = 0
        for message, _ in b.sink.messages:
            if isinstance(message, Progress):
                assert message.last_id <= max(last, 0) or message.last_id == -1
            elif hasattr(message, "columns_v1"):
                last = int(message.columns_v1.trade_id[-1])


async def test_the_spool_survives_a_restart_and_comes_first(tmp_path: Path) -> None:
    fake = FakeBinance(SystemClock(), kline_s=0.05)
    fake.market.add("BTC", "USDT")
    await fake.start()
    try:
        async with bench(spool=tmp_path, fake=fake) as b:
            await b.alive()
            b.sink.congested = True
            for _ in range(30):
                fake.trade("BTCUSDT", "100")
            await until(lambda: len([1 for _, raw in b.sink.frames if b"@trade" in raw]) == 30)
        assert b.ids() == []
        async with bench(spool=tmp_path, fake=fake) as c:
            await c.alive()
            fake.trade("BTCUSDT", "101")
            await until(lambda: len(c.ids()) == 31)
            assert c.ids() == list(range(1, 32))
    finally:
        await fake.stop()


async def test_a_full_spool_says_what_it_dropped(tmp_path: Path) -> None:
    async with bench(spool=tmp_path, spool_bytes=2000) as b:
        await b.alive()
        b.sink.congested = True
        for _ in range(300):
            b.fake.trade("BTCUSDT", "100")
            await asyncio.sleep(0.0005)
        await until(lambda: b.sink.codes()["SPOOL_FULL"] > 0)
        b.sink.congested = False
        await until(lambda: len(list(tmp_path.iterdir())) == 0)
        kept = set(b.ids())
        dropped = {
            i
            for g in b.sink.of(GapSuspected)
            if g.reason == "missing_ids"
            for i in range(g.first_missing_id, g.last_missing_id + 1)
        }
        assert kept | dropped == set(range(1, 301))
        assert not kept & dropped


async def test_close_hands_over_what_was_gathered() -> None:
    limits = Limits(**{f: getattr(FAST, f) for f in FAST.__struct_fields__} | {"linger_s": 60.0, "watch_s": 60.0})
    async with bench(limits=limits) as b:
        await b.connected()
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: [1 for _, raw in b.sink.frames if b"@trade" in raw])
        await b.feed.close()
        await asyncio.wait_for(b.run, 5)
        assert b.ids() == [1]
        assert b.states()[-1] == "closed"
        assert b.sink.of(Progress)[-1].feed_alive is False
