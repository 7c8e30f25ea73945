"""A snapshot and the updates behind it join without a hole, however far market is behind realtime [13]."""

import asyncio

import msgspec
import pytest

from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope
from candlewick.contracts.stream import CandleBatch
from candlewick.contracts.topics import HISTORY_CANDLES, NORMALIZED_OHLCV
from candlewick.kernel.hashing import partition_of
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import NewRecord, Position
from candlewick.ports.runtime import Event
from candlewick.services.realtime.errors import SnapshotFailed
from candlewick.services.realtime.handlers import Fanout, Listener
from tests.unit.services.history.house import MINUTE, rows

T0 = 1_700_000_040 * 10**9 // MINUTE * MINUTE
KEY = "fake:BTC-USDT"
PLACES = [(t.name, partition_of(KEY, t.partitions)) for t in (NORMALIZED_OHLCV, HISTORY_CANDLES)]


class Market:
    """Market as realtime asks it: it has followed the log up to ``position``."""

    def __init__(self):
        self.candles, self.position, self.asked = [], Position(0, 0), 0

    async def get(self, path, params=()):
        self.asked += 1
        header = [[topic, part, self.position.epoch, self.position.offset] for topic, part in PLACES]
        body = {"candles": self.candles if path.endswith("/1m") else []}
        return 200, {"x-log-positions": msgspec.json.encode(header).decode()}, msgspec.json.encode(body)


@pytest.fixture
async def log(tmp_path):
    log = SqliteEventLog(tmp_path, SystemClock())
    await log.open()
    yield log
    await log.close()


async def appended(log, minute, symbol="BTC-USDT"):
    """The log's word on a final minute, as a follower is given it."""
    message = CandleBatch("fake", symbol, rows([T0 + minute * MINUTE]))
    envelope = Envelope(SystemIds().new(), "CandleBatch", 1, 1, message.key, "stream")
    producer = await log.producer("stream")
    record = NewRecord(NORMALIZED_OHLCV.name, message.key, codec.encode(message), codec.encode_envelope(envelope), 1)
    (position,) = await producer.send([record])
    partition = partition_of(message.key, NORMALIZED_OHLCV.partitions)
    return Event(NORMALIZED_OHLCV.name, partition, position, envelope, message, 1)


def fanout_on(log, market, **options):
    fanout = Fanout(log, market, mode="live", replay_records=1000, **options)
    fanout.stand_at({})
    return fanout, Listener("ohlcv", "fake", "BTC-USDT", 60, 1 << 20)


async def test_law_13_a_snapshot_waits_until_market_has_what_was_fanned_out_before(log):
    market = Market()
    fanout, listener = fanout_on(log, market)
    event = await appended(log, 0)
    fanout.on_events([event])  # nobody listens yet: who comes now gets it from market or never
    fanout.add(listener)
    snapshot = asyncio.ensure_future(fanout.snapshot(listener, 500))
    while market.asked < 3:
        await asyncio.sleep(0.01)
    assert not snapshot.done(), "this snapshot would be a hole"
    market.candles, market.position = [{"open_time": T0 // 10**6}], event.position
    assert msgspec.json.decode(await snapshot) == market.candles


async def test_law_13_other_symbols_of_the_partition_are_not_waited_for(log):
    market = Market()
    fanout, listener = fanout_on(log, market)
    part = partition_of(KEY, NORMALIZED_OHLCV.partitions)
    other = next(
        f"S{n}-USDT" for n in range(1000) if partition_of(f"fake:S{n}-USDT", NORMALIZED_OHLCV.partitions) == part
    )
    fanout.on_events([await appended(log, 0, other)])
    fanout.add(listener)
    assert await fanout.snapshot(listener, 500) == b"[]"
    assert market.asked == 1


async def test_law_13_a_market_that_stays_behind_gives_no_snapshot_rather_than_a_hole(log):
    fanout, listener = fanout_on(log, Market(), behind_s=0.06)
    fanout.on_events([await appended(log, 0)])
    fanout.add(listener)
    with pytest.raises(SnapshotFailed):
        await fanout.snapshot(listener, 500)
