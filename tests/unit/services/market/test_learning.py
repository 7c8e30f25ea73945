"""The running service takes over what its venue says anew, and every reader of it does."""

import asyncio
import json
from types import SimpleNamespace

from candlewick.app.configuration import read
from candlewick.app.profiles.embedded import EmbeddedResources
from candlewick.app.runtime.host import running
from tests.unit.services.market.listing_house import FakeVenue, instrument


class Resources(EmbeddedResources):
    def __init__(self, folder, config, venue):
        super().__init__(folder, config.app, mode="live")
        self._fake = venue

    def venue(self, name):
        return self._fake if name == "fake" else SimpleNamespace(info=SimpleNamespace(name=name))


async def test_the_symbols_are_what_the_venue_says_now(tmp_path):
    flags = ["market.exchange=fake", "market.symbols=BTC-USDT,ETH-USDT", "market.refresh_minutes=0.002"]
    config = read(data_dir=tmp_path, flags=flags, environ={})
    venue = FakeVenue(instrument("BTC-USDT"), instrument("ETH-USDT"))
    async with running(["market"], config, Resources(tmp_path, config, venue), member="test") as host:

        async def until(wanted):
            async with asyncio.timeout(10):
                while True:
                    _, _, body = await host.client("market").get("/symbols")
                    found = {s["symbol"]: (s["price_tick"], s["status"]) for s in json.loads(body)["symbols"]}
                    if found == wanted:
                        return
                    await asyncio.sleep(0.02)

        await until({"BTC-USDT": ("0.01", "trading"), "ETH-USDT": ("0.01", "trading")})
        states = dict(host.hosted["market"].service._market.states)
        venue.listed = [instrument("BTC-USDT", tick="0.001", scale=3)]
        await until({"BTC-USDT": ("0.001", "trading"), "ETH-USDT": ("0.01", "removed")})
        assert host.hosted["market"].service._market.states == states, "their windows stay"


async def test_what_is_listed_says_what_is_followed(tmp_path):
    config = read(data_dir=tmp_path, flags=["market.exchange=fake", "market.symbols=BTC-USDT"], environ={})
    venue = FakeVenue(instrument("ETH-USDT", status="break"), instrument("BTC-USDT"))
    async with running(["market"], config, Resources(tmp_path, config, venue), member="test") as host:
        async with asyncio.timeout(10):
            while not host.hosted["market"].service._market.states:
                await asyncio.sleep(0.01)
        status, _, body = await host.client("market").get("/symbols/fake/listed")
        assert status == 200
        page = json.loads(body)
        assert page["exchange"] == "fake"
        assert [(s["symbol"], s["status"], s["followed"]) for s in page["symbols"]] == [
            ("BTC-USDT", "trading", True),
            ("ETH-USDT", "break", False),
        ]
        status, _, body = await host.client("market").get("/symbols/other/listed")
        assert (status, json.loads(body)["code"]) == (422, "EXCHANGE_NOT_FOLLOWED")
