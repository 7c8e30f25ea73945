"""A live connection that breaks, falls silent or talks nonsense: healed, told, and nothing else lost."""

import asyncio
import json
from typing import Any

import pytest

from candlewick.contracts.collector import BookUpdated, GapSuspected, Progress
from tests.integration.binance_bench import bench, until


async def test_a_cut_connection_is_replaced_and_the_hole_is_told() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])
        b.fake.open_connections()[0].abort()
        b.fake.trade("BTCUSDT", "101")
        b.fake.trade("BTCUSDT", "102")
        await b.connected(2)
        await b.alive()
        b.fake.trade("BTCUSDT", "103")
        await until(lambda: b.ids() == [1, 4])
        gaps = {g.reason: g for g in b.sink.of(GapSuspected)}
        assert set(gaps) == {"disconnect", "missing_ids"}
        assert (gaps["missing_ids"].first_missing_id, gaps["missing_ids"].last_missing_id) == (2, 3)
        assert gaps["disconnect"].start_ns < gaps["disconnect"].end_ns
        dead = [p for p in b.sink.of(Progress) if not p.feed_alive]
        assert dead[-1].complete_through == gaps["disconnect"].end_ns
        assert "lost" in b.states()


async def test_a_connection_cut_in_the_middle_of_a_frame_loses_nothing_else() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])
        event = b.fake.market.symbols["BTCUSDT"].trade("101", "1", b.fake.now_ms())
        b.fake.open_connections()[0].drop(json.dumps({"stream": "btcusdt@trade", "data": event}).encode())
        await b.connected(2)
        b.fake.trade("BTCUSDT", "102")
        await until(lambda: b.ids() == [1, 3])
        assert not b.sink.complaints


@pytest.mark.parametrize("kind", ["is_silent", "is_half_open"])
async def test_silence_is_a_disconnect(kind: str) -> None:
    """A socket that stays open and says nothing (or is half open) is given up and replaced."""
    async with bench() as b:
        await b.alive()
        setattr(b.fake.faults, kind, True)
        await until(lambda: "silent" in b.states())
        frozen = b.sink.of(Progress)[-1]
        assert not frozen.feed_alive
        setattr(b.fake.faults, kind, False)
        await b.connected(2)
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])
        assert {g.reason for g in b.sink.of(GapSuspected)} == {"silence"}


async def test_one_silent_symbol_is_subscribed_anew() -> None:
    """The connection lives, but a symbol that used to speak has fallen silent."""
    async with bench(("BTC-USDT", "ETH-USDT")) as b:
        await b.alive("ETH-USDT")
        for _ in range(20):
            b.fake.trade("ETHUSDT", "10")
            await asyncio.sleep(0.002)
        connection = b.fake.open_connections()[0]
        asked = len(connection.requests)
        await until(lambda: "resubscribing" in b.states())
        await until(lambda: len(connection.requests) >= asked + 2)
        assert [r["method"] for r in connection.requests[asked : asked + 2]] == ["UNSUBSCRIBE", "SUBSCRIBE"]
        assert all(s.startswith("ethusdt@") for s in connection.requests[asked]["params"])
        await until(lambda: b.states()[-1] == "connected")
        b.fake.trade("ETHUSDT", "11")
        await until(lambda: len(b.ids("ETH-USDT")) == 21)
        assert b.fake.handshakes == 1


async def test_trade_gap_duplicate_and_reordering_are_told_apart() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.trade("BTCUSDT", "100")
        b.fake.trade("BTCUSDT", "101", times=3)
        b.fake.trade("BTCUSDT", "102", withheld=True)
        b.fake.trade("BTCUSDT", "103")
        held = b.fake.market.symbols["BTCUSDT"].trades[2]
        b.fake.publish("btcusdt@trade", held)
        await until(lambda: len(b.ids()) == 4)
        assert b.ids() == [1, 2, 4, 3]
        assert [(g.first_missing_id, g.last_missing_id) for g in b.sink.of(GapSuspected)] == [(3, 3)]


async def test_a_book_with_a_hole_starts_over_from_a_snapshot() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.depth("BTCUSDT", [("99.1", "1")])
        await until(lambda: b.sink.of(BookUpdated))
        asked = b.fake.asked["depth"]
        b.fake.depth("BTCUSDT", [("99.2", "1")], withheld=True)
        b.fake.depth("BTCUSDT", [("99.3", "1")])
        await until(lambda: b.sink.of(BookUpdated)[-1].in_sequence is False)
        b.fake.depth("BTCUSDT", [("99.4", "1")])
        await until(lambda: b.sink.of(BookUpdated)[-1].in_sequence)
        assert b.fake.asked["depth"] > asked
        assert b.sink.of(BookUpdated)[-1].bid_price[:4].tolist() == [9940, 9930, 9920, 9910]
        assert b.sink.codes()["BOOK_SEQUENCE"] == 1


async def test_garbage_frames_are_named_and_the_feed_goes_on() -> None:
    async with bench() as b:
        await b.alive()
        connection = b.fake.open_connections()[0]
        for junk in (b"{", b"\xff\xff", b'{"stream":"btcusdt@trade","data":{"t":"x"}}', b"null", b""):
            connection.send(junk)
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])
        assert b.fake.handshakes == 1
        assert set(b.sink.codes()) <= {"BAD_FRAME", "BAD_TYPE"}
        assert sum(b.sink.codes().values()) == 5


async def test_a_fault_of_the_parser_costs_one_frame() -> None:
    async with bench() as b:
        await b.alive()
        parser = b.feed.lanes()[0].parser
        sound = parser.parse

        def parse(ts_recv: int, raw: bytes, sink: Any) -> None:
            if b'"t":2,' in raw:
                raise ZeroDivisionError("planted")
            sound(ts_recv, raw, sink)

        parser.parse = parse  # type: ignore[method-assign]
        for _ in range(3):
            b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1, 3])
        assert b.sink.codes() == {"PARSER_FAULT": 1}
        assert b.fake.handshakes == 1
