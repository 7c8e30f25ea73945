"""Candles from the log into the store, with their positions [14]."""

import json

import numpy as np
import pytest

from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope
from candlewick.contracts.stream import FINAL, CandleBatch
from candlewick.kernel.errors import StorageFull
from candlewick.kernel.lifecycle import State
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import NewRecord
from tests.unit.services.history.house import MINUTE, rows

T0 = 1_700_000_040 * 10**9 // MINUTE * MINUTE


async def test_final_rows_are_stored_and_open_ones_are_not(house):
    async with house() as h:
        await h.candles(rows([T0, T0 + MINUTE, T0 + 2 * MINUTE], flags=[FINAL, FINAL, 0]))
        found = await h.stored()
        assert found.open_time.tolist() == [T0, T0 + MINUTE]
        assert found.close.tolist() == [101, 101]


async def test_a_snapshot_says_which_log_positions_it_includes(house):
    async with house() as h:
        await h.candles(rows([T0]))
        _, headers, _ = await h.get("/history/candles/fake/BTC-USDT/1m")
        ((topic, partition, epoch, offset),) = json.loads(headers["x-log-positions"])
        consumer = await h.resources.log.consumer([topic], group=None, member="reader", start="oldest")
        (record,) = await consumer.poll()
        assert (record.partition, record.position.epoch, record.position.offset) == (partition, epoch, offset)


async def test_a_restart_goes_on_where_the_store_says(house):
    async with house() as h:
        await h.candles(rows([T0]))
    async with house() as h:
        await h.candles(rows([T0 + MINUTE]))
        assert h.service.health().facts["candles_repeated"] == 0
        assert len((await h.stored()).open_time) == 2


async def test_what_cannot_be_stored_goes_to_the_dead_letters_and_the_rest_is_kept(house):
    async with house() as h:
        await h.send("normalized.ohlcv", _batch(rows([T0])))
        await h.send_raw("normalized.ohlcv", "fake:BTC-USDT", b"\xff\xff", b"not an envelope")
        await h.candles(rows([T0 + MINUTE]))
        assert len((await h.stored()).open_time) == 2
        consumer = await h.resources.log.consumer(
            ["normalized.ohlcv.dead-letters"], group=None, member="reader", start="oldest"
        )
        (record,) = await consumer.poll()
        assert record.value == b"\xff\xff"
        assert b"BAD_PAYLOAD" in record.header


def said(capsys):
    return "".join(capsys.readouterr())


async def test_a_damaged_place_in_the_log_is_told_once_and_read_past(house, tmp_path, capsys):
    log = SqliteEventLog(tmp_path, SystemClock())
    await log.open()
    producer = await log.producer("stream")
    for n in range(3):
        message = _batch(rows([T0 + n * MINUTE], price=7_777_000 + n))
        envelope = Envelope(SystemIds().new(), "CandleBatch", 1, 1, message.key, "stream")
        await producer.send(
            [NewRecord("normalized.ohlcv", message.key, codec.encode(message), codec.encode_envelope(envelope), 1)]
        )
    await log.close()
    content = bytearray((tmp_path / "log.db").read_bytes())
    content[content.index((7_777_001).to_bytes(8, "little"))] ^= 0x01
    (tmp_path / "log.db").write_bytes(content)
    for _ in range(2):
        async with house() as h:
            await h.service.caught_up()
            assert ((await h.stored()).open_time - T0).tolist() == [0, 2 * MINUTE]
            assert h.host.hosted["history"].restarts == 0
            assert h.service.health().state is State.READY
    assert said(capsys).count("LOG_CORRUPT") == 1, "the restart goes on behind it"


async def test_what_the_store_refuses_for_a_while_is_waited_out_with_nothing_lost(house, capsys):
    async with house() as h:
        await h.candles(rows([T0]))
        storing = h.service._storing
        kept, storing._store = storing._store, _FullStore(storing._store)
        await h.send("normalized.ohlcv", _batch(rows([T0 + MINUTE])))
        await h.send("normalized.ohlcv", _batch(rows([T0 + 2 * MINUTE])))

        async def is_degraded():
            health = h.service.health()
            return storing._store.refused > 3 and health.state is State.DEGRADED and health.detail

        assert (await h.until(is_degraded)).startswith("STORAGE_FULL: ")
        storing._store = kept
        await h.service.caught_up()
        assert len((await h.stored()).open_time) == 3

        async def is_ready():
            return h.service.health().state is State.READY

        await h.until(is_ready)
        assert h.host.hosted["history"].restarts == 0
    assert said(capsys).count("STORAGE_FULL") == 2, "told when it begins and when it is over"


class _FullStore:
    """A store whose disk is full."""

    def __init__(self, store):
        self._store, self.refused = store, 0

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def append_many(self, batches, *, mark):
        self.refused += 1
        raise StorageFull("no room")


def _batch(columns):
    return CandleBatch("fake", "BTC-USDT", columns)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"limit": 2}, [3, 4]),
        ({"limit": 2, "before_ns": T0 + 3 * MINUTE}, [1, 2]),
        ({"start_ns": T0 + MINUTE, "end_ns": T0 + 4 * MINUTE, "limit": 2}, [1, 2]),
        ({"as_of_ns": T0 + 2 * MINUTE, "limit": 5}, [0, 1]),
        ({"start_ns": T0 + 9 * MINUTE}, []),
    ],
)
async def test_pages(house, query, expected):
    async with house() as h:
        await h.candles(rows([T0 + n * MINUTE for n in range(5)]))
        found = await h.stored(**query)
        assert ((found.open_time - T0) // MINUTE).tolist() == expected


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("/history/candles/fake/BTC-USDT/7m", {}, 422, "UNKNOWN_TIMEFRAME"),
        ("/history/candles/fake/BTC-USDT/1m", {"limit": 0}, 422, "BAD_REQUEST"),
        ("/history/candles/fake/BTC-USDT/1m", {"start_ns": 9, "end_ns": 3}, 422, "BAD_HISTORY_QUERY"),
        ("/gaps", {"start": "yesterday"}, 422, "BAD_HISTORY_QUERY"),
        ("/gaps", {"start": "2024-01-02", "end": "2024-01-01"}, 422, "BAD_HISTORY_QUERY"),
        ("/quality/fake/NO-SUCH", {}, 404, "UNKNOWN_SERIES"),
        ("/jobs/none", {}, 404, "UNKNOWN_JOB"),
    ],
)
async def test_bad_questions_are_told_what_is_wrong(house, path, params, status, code):
    async with house() as h:
        got, _, body = await h.get(path, **params)
        assert (got, json.loads(body)["code"]) == (status, code)


async def test_quality_counts_what_is_there(house):
    async with house() as h:
        flags = np.full(10, FINAL, np.uint8)
        flags[4] |= 2
        times = [T0 + n * MINUTE for n in (0, 1, 2, 3, 4, 5, 6, 7, 9, 10)]
        await h.candles(rows(times, flags=flags))
        status, _, body = await h.get("/quality/fake/BTC-USDT")
        found = json.loads(body)
        assert status == 200
        assert (found["expected"], found["present"], found["gapped"]) == (11, 10, 1)
        assert found["score"] == round(100 * 9 / 11, 2)


async def test_series_lists_what_is_stored(house):
    async with house() as h:
        await h.candles(rows([T0, T0 + MINUTE]))
        _, _, body = await h.get("/history/series")
        (series,) = json.loads(body)["series"]
        assert (series["timeframe"], series["rows"], series["first"]) == ("1m", 2, T0 // 10**6)


async def test_seconds_are_forgotten_after_their_time_and_minutes_are_not(house):
    async with house(seconds_hours="1") as h:
        day = 3600 * 10**9
        old, new = T0 - 2 * day, T0
        await h.candles(rows([old, new], seconds=1))
        await h.candles(rows([old, new]))
        assert await h.service._keeping.expire() == 1
        assert (await h.stored("1s")).open_time.tolist() == [new]
        assert len((await h.stored("1m")).open_time) == 2
