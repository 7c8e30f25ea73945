"""The collector follows what is said of symbols at run time: added, updated, removed by the venue, deleted."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from candlewick.app.configuration import read
from candlewick.app.profiles.embedded import EmbeddedResources
from candlewick.app.runtime.host import running
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope
from candlewick.contracts.market import SymbolAdded, SymbolDeleted, SymbolUpdated
from candlewick.ports.log import NewRecord
from candlewick.ports.venue import VenueInfo
from candlewick.services.collector.domain import Steps, steps, wanted
from tests.unit.services.market.listing_house import instrument

BTC, ETH = instrument("BTC-USDT"), instrument("ETH-USDT")
FINER = instrument("BTC-USDT", tick="0.0001", scale=4)
RENAMED = instrument("BTC-USDT", venue_symbol="XBTUSDT")


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ([], [BTC, ETH], Steps([], [BTC, ETH], ["BTC-USDT", "ETH-USDT"])),
        ([BTC], [BTC], Steps([], [], [])),
        ([BTC, ETH], [ETH], Steps(["BTC-USDT"], [], [])),
        ([BTC, ETH], [FINER, ETH], Steps([], [FINER], [])),
        ([FINER], [BTC], Steps([], [BTC], [])),
        ([BTC, ETH], [RENAMED, ETH], Steps(["BTC-USDT"], [RENAMED], ["BTC-USDT"])),
    ],
    ids=["added", "same", "deleted", "finer", "coarser", "renamed"],
)
def test_only_a_new_name_at_the_venue_is_subscribed_anew(was, now, told):
    assert steps({one.symbol: one for one in was}, {one.symbol: one for one in now}) == told


def test_what_the_venue_does_not_list_is_not_followed():
    halted, gone = instrument("ETH-USDT", status="break"), instrument("BTC-USDT", status="removed")
    assert wanted({one.symbol: one for one in (halted, gone)}) == {"ETH-USDT": halted}


class FakeFeed:
    def __init__(self, told):
        self._told, self._closed = told, asyncio.Event()

    async def run(self):
        await self._closed.wait()

    async def close(self):
        self._closed.set()

    async def follow(self, symbols):
        self._told.append(("follow", *symbols))

    async def unfollow(self, symbols):
        self._told.append(("unfollow", *symbols))

    def learn(self, instruments):
        self._told.append(("learn", *[(one.symbol, one.price_scale) for one in instruments]))

    def waiting_bytes(self):
        return 0


class FakeVenue:
    info = VenueInfo("fake", "Fake", False, ("1m",), 1000)

    def __init__(self):
        self.told = []

    def feed(self, symbols, instruments, sink):
        self.told.append(("feed", *symbols))
        return FakeFeed(self.told)


class Resources(EmbeddedResources):
    def __init__(self, folder, config, venue):
        super().__init__(folder, config.app, mode="live")
        self._fake = venue

    def venue(self, name):
        return self._fake


async def test_the_feed_hears_of_every_change(tmp_path):
    config = read(data_dir=tmp_path, flags=["collector.exchange=fake"], environ={})
    venue = FakeVenue()
    resources = Resources(tmp_path, config, venue)
    async with running(["collector"], config, resources, member="test"):
        producer = await resources.log.producer("market")

        async def say(*messages):
            records = []
            for message in messages:
                envelope = Envelope(
                    UUID(bytes=resources.ids.new().bytes), type(message).__name__, 1, 1, message.key, ""
                )
                header = codec.encode_envelope(envelope)
                records.append(NewRecord("market.symbols", message.key, codec.encode(message), header, 1))
            await producer.send(records)

        async def heard(*wanted):
            async with asyncio.timeout(10):
                while len(venue.told) < len(wanted):
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert venue.told == list(wanted)
            venue.told.clear()

        await say(SymbolAdded(BTC))
        await heard(("feed", "BTC-USDT"))
        await say(SymbolAdded(ETH))
        await heard(("learn", ("ETH-USDT", 2)), ("follow", "ETH-USDT"))
        await say(SymbolUpdated(FINER))
        await heard(("learn", ("BTC-USDT", 4)))
        await say(SymbolUpdated(msgspec.structs.replace(FINER, status="break")))
        await heard(("learn", ("BTC-USDT", 4)))
        await say(SymbolUpdated(msgspec.structs.replace(FINER, status="removed")))
        await heard(("unfollow", "BTC-USDT"))
        await say(SymbolUpdated(RENAMED))
        await heard(("learn", ("BTC-USDT", 2)), ("follow", "BTC-USDT"))
        await say(SymbolDeleted("fake", "ETH-USDT"))
        await heard(("unfollow", "ETH-USDT"))
        await producer.close()
