"""A venue that refuses: silence is kept as long as it asks, and a refused region is not pestered."""

import asyncio
import time

import pytest
from msgspec.structs import replace

from candlewick.contracts.collector import BookUpdated
from candlewick.ports.venue import VenueForbidden, VenueUnavailable
from tests.integration.binance_bench import FAST, bench, until

# A symbol that is quiet for long is resubscribed, and a trade made just between the two requests would be missed.
PATIENT = replace(FAST, symbol_silence_s=30)


async def test_a_region_that_is_refused_books_is_not_pestered() -> None:
    async with bench(limits=PATIENT) as b:
        await b.alive()
        b.fake.faults.rest.extend([(451, {})] * 50)
        b.fake.depth("BTCUSDT", [("99.1", "1")])
        await until(lambda: b.sink.codes()["NO_SNAPSHOT"] == 1)
        await asyncio.sleep(0.3)
        assert b.fake.asked["depth"] == 1
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])


async def test_a_refused_subscription_is_tried_again_on_a_new_connection() -> None:
    async with bench(before=lambda f: setattr(f.faults, "refuse_subscriptions", 2)) as b:
        await b.alive()
        assert b.fake.handshakes == 3
        assert b.states().count("failed") == 2
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])


async def test_an_unanswered_subscription_is_tried_again() -> None:
    async with bench(before=lambda f: setattr(f.faults, "ignore_subscriptions", 1)) as b:
        await b.alive()
        assert b.fake.handshakes == 2


@pytest.mark.parametrize("status", [451, 403])
async def test_a_forbidden_handshake_ends_the_feed(status: int) -> None:
    async with bench(before=lambda f: f.faults.handshakes.append((status, {}))) as b:
        with pytest.raises(VenueForbidden):
            await asyncio.wait_for(b.run, 5)


@pytest.mark.parametrize("status", [429, 418])
async def test_a_refused_handshake_keeps_silent_as_long_as_asked(status: int) -> None:
    async with bench(before=lambda f: f.faults.handshakes.append((status, {"Retry-After": "1"}))) as b:
        await until(lambda: "refused" in b.states())
        refused = time.monotonic()
        await b.connected()
        assert time.monotonic() - refused > 0.8
        assert b.fake.handshakes == 2


async def test_a_venue_that_is_down_opens_the_breaker_and_is_found_again() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.faults.is_down = True
        b.fake.open_connections()[0].abort()
        await until(lambda: "paused" in b.states(), why=str(b.run))
        b.fake.faults.is_down = False
        await b.connected(2)
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])


async def test_a_ban_on_rest_is_kept_by_the_whole_process() -> None:
    async with bench() as b:
        await b.alive()
        b.fake.faults.rest.append((418, {"Retry-After": "2"}))
        b.fake.depth("BTCUSDT", [("99.1", "1")])
        await until(lambda: b.fake.asked["depth"] == 1)
        await until(lambda: b.sink.of(BookUpdated), seconds=6)
        assert b.fake.violations == []


async def test_rest_that_fails_does_not_stop_the_trades() -> None:
    async with bench(limits=PATIENT) as b:
        await b.alive()
        b.fake.faults.rest.extend([(502, {})] * 16)
        b.fake.depth("BTCUSDT", [("99.1", "1")])
        b.fake.trade("BTCUSDT", "100")
        await until(lambda: b.ids() == [1])
        with pytest.raises(VenueUnavailable):
            await b.venue.server_time_ns()
