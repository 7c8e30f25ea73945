"""The history service on embedded stores, and a venue that serves whatever a test tells it to."""

import msgspec
import numpy as np

from candlewick.app.profiles.embedded import EmbeddedResources
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope, Origin, frozen
from candlewick.contracts.market import Instrument, SymbolAdded
from candlewick.contracts.stream import FINAL, CandleBatch, CandleColumns
from candlewick.contracts.timeframes import SECONDS, open_of
from candlewick.ports.log import NewRecord
from candlewick.ports.venue import VenueInfo

MINUTE = 60 * 10**9


def rows(opens, *, seconds=60, price=100, volume=5, flags=FINAL, revision=0, origin=Origin.BUILT, known_at=None):
    """Candles with the given open times (ns) at scale 2."""
    opens = np.array(opens, np.int64)
    n = len(opens)

    def column(value, dtype):
        return frozen(np.broadcast_to(np.array(value, dtype), (n,)).copy())

    close = opens + seconds * 10**9
    return CandleColumns(
        timeframe=column(seconds, np.int32), open_time=frozen(opens),
        open=column(price, np.int64), high=column(price, np.int64) + 5, low=column(price, np.int64) - 5,
        close=column(price, np.int64) + 1,
        volume_hi=column(0, np.int64), volume_lo=column(volume, np.uint64),
        taker_hi=column(0, np.int64), taker_lo=column(1, np.uint64),
        quote_hi=column(0, np.int64), quote_lo=column(500, np.uint64),
        trades=column(3, np.int64), revision=column(revision, np.int32), flags=column(flags, np.uint8),
        origin=column(int(origin), np.uint8),
        known_at=frozen(close if known_at is None else column(known_at, np.int64)),
        price_scale=2, size_scale=2,
    )  # fmt: skip


class FakeVenue:
    """Serves a candle for every closed open time except in ``halts``; ``volume`` 0 inside ``silent``."""

    def __init__(self, clock, *, simulated=False, timeframes=tuple(SECONDS)[1:]):
        self.info = VenueInfo("fake", "Fake", simulated, timeframes, 1000)
        self._clock = clock
        self.asked = []
        self.halts = []
        self.silent = []
        self.now_ns = None
        self.error = None

    async def open(self):
        pass

    async def close(self):
        pass

    async def server_time_ns(self):
        if self.error is not None:
            raise self.error
        return self.now_ns if self.now_ns is not None else self._clock.now_ns()

    async def candles(self, symbol, timeframe, start_ns, end_ns):
        if self.error is not None:
            raise self.error
        seconds = SECONDS[timeframe]
        self.asked.append((timeframe, start_ns, end_ns))
        now, step = await self.server_time_ns(), seconds * 10**9
        assert end_ns <= open_of(now, seconds), "a candle that is not closed was asked for"
        first = open_of(start_ns - 1, seconds) + step
        opens = [t for t in range(first, end_ns, step) if not any(a < t + step and t < b for a, b in self.halts)]
        quiet = [any(a <= t < b for a, b in self.silent) for t in opens]
        origin = Origin.SIMULATED if self.info.simulated else Origin.FETCHED
        found = rows(opens, seconds=seconds, price=200, volume=[0 if q else 7 for q in quiet], origin=origin)
        return msgspec.structs.replace(found, trades=frozen(np.array([0 if q else 3 for q in quiet], np.int64)))


class Resources(EmbeddedResources):
    """Embedded, with a venue of the test's own."""

    def __init__(self, data_dir, config, venue, mode):
        super().__init__(data_dir, config.app, mode=mode)
        self._fake = venue

    def venue(self, name):
        return self._fake


class House:
    """A running history service and doors to it."""

    def __init__(self, host, resources, venue):
        self.host, self.resources, self.venue = host, resources, venue
        self.service = host.hosted["history"].service
        self._producer = None

    async def send(self, topic, message, *, producer="stream"):
        if self._producer is None:
            self._producer = await self.resources.log.producer("test")
        envelope = Envelope(self.resources.ids.new(), type(message).__name__, 1, 1, message.key, producer)
        record = NewRecord(topic, message.key, codec.encode(message), codec.encode_envelope(envelope), 1)
        await self._producer.send([record])

    async def send_raw(self, topic, key, value, header):
        producer = await self.resources.log.producer("test-raw")
        await producer.send([NewRecord(topic, key, value, header, 1)])

    async def candles(self, columns, symbol="BTC-USDT"):
        await self.send("normalized.ohlcv", CandleBatch("fake", symbol, columns))
        await self.service.caught_up()

    async def follow(self, symbol="BTC-USDT"):
        base, quote = symbol.split("-")
        instrument = Instrument("fake", symbol, base + quote, base, quote, "0.01", "0.01", 2, 2)
        await self.send("market.symbols", SymbolAdded(instrument), producer="market")

    async def get(self, path, **params):
        return await self.host.client("history").get(path, {k: str(v) for k, v in params.items()})

    async def stored(self, timeframe="1m", symbol="BTC-USDT", **params):
        status, _, body = await self.get(f"/history/candles/fake/{symbol}/{timeframe}", **params)
        assert status == 200, body
        return codec.decode("CandleBatch", body).columns_v1

    async def messages(self, topic):
        """Everything in a topic."""
        found = []
        consumer = await self.resources.log.consumer([topic], group=None, member="reader", start="oldest")
        while batch := await consumer.poll(timeout_s=0.1):
            found += [codec.decode(codec.decode_envelope(r.header).type, r.value) for r in batch]
        await consumer.close()
        return found

    async def until(self, condition, seconds=10.0):
        clock = self.resources.clock
        end = clock.monotonic_ns() + int(seconds * 1e9)
        while True:
            value = await condition()
            if value:
                return value
            assert clock.monotonic_ns() < end, "it did not happen in time"
            await clock.sleep(0.02)
