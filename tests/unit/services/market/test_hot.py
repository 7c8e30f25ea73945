"""An answer that was kept is given again only while it is still true."""

import asyncio
import json

from candlewick.services.market.api.hot import HotCandles
from tests.unit.services.market.test_loading import Store, market_on, told

PATH = "/ohlcv/fake/BTC-USDT/1m"


async def ask(hot, query=b"limit=3", method="GET"):
    said = []

    async def send(message):
        said.append(message)

    await hot({"method": method, "path": PATH, "query_string": query}, None, send)
    headers = dict(said[0]["headers"])
    assert said[0]["status"] == 200
    return headers, said[1]["body"]


def opens(body):
    return [candle["open_time"] for candle in json.loads(body)["candles"]]


async def test_what_is_kept_follows_every_change():
    store = Store(range(5), 10)
    async with market_on(store) as market:
        hot = HotCandles(market)
        await market.stand()
        await market.loaded()
        headers, first = await ask(hot)
        assert (await ask(hot))[1] is first, "the very same bytes"
        head, nothing = await ask(hot, method="HEAD")
        assert (head, nothing) == (headers, b"")
        market.on_events([told(5, 11)])
        later, second = await ask(hot)
        assert opens(second) == [*opens(first)[1:], opens(first)[-1] + 60_000]
        assert later[b"x-log-positions"] != headers[b"x-log-positions"]
        store.offset = 11
        state = market.states["fake", "BTC-USDT"]
        del market.states["fake", "BTC-USDT"]
        market.add_state(state.instrument)
        await market.loaded()
        assert opens((await ask(hot))[1]) == opens(first), "of the symbol as it is now, loaded anew"


async def test_names_that_anybody_makes_up_are_not_kept_for_ever():
    async with market_on(Store(range(5), 10)) as market:
        hot = HotCandles(market)
        await market.stand()
        await market.loaded()
        for n in range(2000):
            await ask(hot, b"limit=3&made=%d" % n)
            if n % 100 == 0:
                await asyncio.sleep(0)
        assert len(hot._kept) <= 512
