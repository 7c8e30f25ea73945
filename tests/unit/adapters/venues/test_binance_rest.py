"""REST against a scripted transport: limits, bans, failures, paging, exact digits."""

import json
from collections.abc import Callable

import httpx
import pytest

from candlewick.adapters.venues.binance.venue import BinanceVenue
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.ports.venue import (
    UnknownSymbol,
    VenueForbidden,
    VenueNonsense,
    VenueRateLimited,
    VenueUnavailable,
)
from candlewick.testing.shared_data import REASON, shared_data

T0 = 1_700_000_040_000  # ms, a whole minute
SYMBOL = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001000"},
    ],
}
INFO = {"symbols": [SYMBOL], "serverTime": T0, "rateLimits": []}


class StepClock:
    """A clock that moves only when slept on."""

    def __init__(self) -> None:
        self.now = (T0 + 86_400_000) * 1_000_000
        self.slept: list[float] = []

    def now_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += int(max(0.0, seconds) * NS_PER_SECOND)


Answer = Callable[[httpx.Request], httpx.Response]


def venue(answer: Answer, clock: StepClock | None = None) -> tuple[BinanceVenue, list[httpx.Request]]:
    asked: list[httpx.Request] = []
    clock = clock or StepClock()

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path == "/api/v3/exchangeInfo":
            return httpx.Response(200, json=INFO)
        if request.url.path == "/api/v3/time":
            return httpx.Response(200, json={"serverTime": clock.now // 1_000_000})
        return answer(request)

    transport = httpx.MockTransport(handle)
    return BinanceVenue(clock, lambda: 0.5, rest_url="http://venue.test", transport=transport), asked


def kline(ms: int, price: str = "100.10000000") -> list[object]:
    return [ms, price, price, price, price, "1.50000000", ms + 59_999, "150.15000000", 3, "0.50000000", "50.05", "0"]


def klines(request: httpx.Request) -> httpx.Response:
    q = request.url.params
    start, end, limit = int(q["startTime"]), int(q["endTime"]), int(q["limit"])
    first = -(-start // 60_000) * 60_000
    return httpx.Response(200, json=[kline(ms) for ms in range(first, end + 1, 60_000)][:limit])


async def test_instruments_carry_ticks_and_scales() -> None:
    v, _ = venue(klines)
    (btc,) = await v.instruments()
    assert (btc.symbol, btc.venue_symbol, btc.price_scale, btc.size_scale) == ("BTC-USDT", "BTCUSDT", 2, 5)
    assert btc.status == "trading"


async def test_candles_page_and_keep_every_digit() -> None:
    v, asked = venue(klines)
    start = T0 * 1_000_000
    got = await v.candles("BTC-USDT", "1m", start, start + 2500 * 60 * NS_PER_SECOND)
    step = 60 * NS_PER_SECOND
    open_time = got.open_time.tolist()
    assert open_time[0] == start
    # A day has passed since T0: 1,440 minutes are closed, the rest is the future.
    assert open_time == list(range(start, start + 1440 * step, step))
    assert (got.price_scale, got.size_scale) == (2, 5)
    assert (got.open[0], got.volume_lo[0], got.taker_lo[0], got.quote_lo[0], got.trades[0]) == (
        10010, 150000, 50000, 1501500000, 3,
    )  # fmt: skip
    assert set(got.flags.tolist()) == {1}
    assert set(got.origin.tolist()) == {2}
    assert sum(r.url.path.endswith("klines") for r in asked) == 3


async def test_old_klines_may_have_more_digits_than_the_tick() -> None:
    v, _ = venue(lambda r: httpx.Response(200, json=[kline(T0, "100.12345678")]))
    got = await v.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 60_000) * 1_000_000)
    assert (got.price_scale, got.open[0]) == (8, 10012345678)


async def test_volumes_beyond_64_bits_use_both_limbs() -> None:
    row = kline(T0)
    row[5] = "99999999999999999999.00000"
    v, _ = venue(lambda r: httpx.Response(200, json=[row]))
    got = await v.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 60_000) * 1_000_000)
    assert int(got.volume_hi[0]) * 2**64 + int(got.volume_lo[0]) == 99999999999999999999_00000


@pytest.mark.parametrize(
    "row",
    [
        [kline(T0 + 1)],
        [kline(T0), kline(T0)],
        [kline(T0 + 60_000), kline(T0)],
        [[*kline(T0)[:2], "1.0", *kline(T0)[3:]]],
        [[*kline(T0)[:9], "9.0", "1", "0"]],
        [kline(T0, "NaN")],
        [kline(T0)[:5]],
        {"klines": []},
    ],
)
async def test_klines_that_contradict_themselves_are_refused(row: object) -> None:
    v, _ = venue(lambda r: httpx.Response(200, json=row))
    with pytest.raises(VenueNonsense):
        await v.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 120_000) * 1_000_000)


async def test_429_waits_as_asked_and_tries_again() -> None:
    clock, left = StepClock(), [429, 429]

    def answer(request: httpx.Request) -> httpx.Response:
        if left:
            return httpx.Response(left.pop(), headers={"Retry-After": "7"})
        return klines(request)

    v, _ = venue(answer, clock)
    got = await v.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 60_000) * 1_000_000)
    assert len(got.open_time) == 1
    assert [s for s in clock.slept if s >= 6.9] == [7.0, 7.0]


async def test_a_ban_is_silent_until_it_ends() -> None:
    """418: nothing at all is asked while the ban lasts."""
    clock = StepClock()
    v, asked = venue(lambda r: httpx.Response(418, headers={"Retry-After": "600"}), clock)
    with pytest.raises(VenueRateLimited) as error:
        await v.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 60_000) * 1_000_000)
    assert error.value.retry_after_s == 600
    count = len(asked)
    with pytest.raises(VenueRateLimited):
        await v.server_time_ns()
    assert len(asked) == count
    clock.now += 601 * NS_PER_SECOND
    assert await v.server_time_ns() > 0


@pytest.mark.parametrize("status", [403, 451])
async def test_a_refused_region_is_forbidden_with_a_hint(status: int) -> None:
    v, _ = venue(lambda r: httpx.Response(status))
    with pytest.raises(VenueForbidden) as error:
        await v.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 60_000) * 1_000_000)
    assert "base URL" in str(error.value)


async def test_server_errors_are_tried_again_with_jitter_then_the_breaker_opens() -> None:
    clock = StepClock()
    v, asked = venue(lambda r: httpx.Response(502), clock)
    await v.instruments()
    for _ in range(3):
        with pytest.raises(VenueUnavailable):
            await v.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 60_000) * 1_000_000)
    tries = sum(r.url.path.endswith("klines") for r in asked)
    assert tries == 5
    assert clock.slept[:3] == [0.125, 0.25, 0.5]
    clock.now += 11 * NS_PER_SECOND
    assert await v.server_time_ns() > 0


async def test_time_outs_are_unavailable() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    v, _ = venue(answer)
    with pytest.raises(VenueUnavailable):
        await v.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 60_000) * 1_000_000)


async def test_unknown_symbols_are_named() -> None:
    v, _ = venue(klines)
    with pytest.raises(UnknownSymbol):
        await v.candles("DOGE-BTC", "1m", 0, 1)
    w, _ = venue(lambda r: httpx.Response(400, json={"code": -1121, "msg": "Invalid symbol."}))
    with pytest.raises(UnknownSymbol):
        await w.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 60_000) * 1_000_000)


async def test_weights_are_counted_and_the_servers_count_is_believed() -> None:
    clock = StepClock()
    v, _ = venue(lambda r: httpx.Response(200, json=[kline(T0)], headers={"X-MBX-USED-WEIGHT-1M": "4799"}), clock)
    await v.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 60_000) * 1_000_000)
    assert v.rest.budget.used() == 4799
    slept = len(clock.slept)
    await v.candles("BTC-USDT", "1m", T0 * 1_000_000, (T0 + 60_000) * 1_000_000)
    assert len(clock.slept) == slept + 1, "the next window must be waited for"


async def test_trades_by_id_page_and_stop_where_the_venue_does() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        q = request.url.params
        ids = range(int(q["fromId"]), min(int(q["fromId"]) + int(q["limit"]), 2500))
        return httpx.Response(
            200, json=[{"id": i, "price": "1.5", "qty": "2", "time": T0 + i, "isBuyerMaker": i % 2 == 0} for i in ids]
        )

    v, asked = venue(answer)
    batch = await v.trades("BTC-USDT", 1, 3000)
    c = batch.columns_v1
    assert c.trade_id.tolist() == list(range(1, 2500))
    assert (c.price[0], c.size[0], c.side[:2].tolist()) == (150, 200000, [1, 0])
    assert sum(r.url.path.endswith("historicalTrades") for r in asked) == 4


async def test_reachable_never_raises() -> None:
    v, _ = venue(lambda r: httpx.Response(200, json={}))
    assert await v.is_reachable(1.0)
    w, _ = venue(lambda r: httpx.Response(503))
    assert not await w.is_reachable(1.0)


PAYLOADS = shared_data("A_raw_feeds/payloads/binance")


@pytest.mark.skipif(PAYLOADS is None, reason=REASON)
async def test_documented_payloads_are_understood() -> None:
    assert PAYLOADS is not None
    folder = PAYLOADS / "spot" / "http_json"
    info = json.loads((folder / "exchange_info_response.json").read_text())
    trades = json.loads((folder / "trades_response.json").read_text())
    rows = json.loads((PAYLOADS / "legacy_http_responses" / "http_spot_market_klines.json").read_text())

    def handle(request: httpx.Request) -> httpx.Response:
        name = request.url.path.rsplit("/", 1)[1]
        time = {"serverTime": 4_000_000_000_000}
        return httpx.Response(
            200, json={"exchangeInfo": info, "time": time, "historicalTrades": trades}.get(name, rows)
        )

    v = BinanceVenue(StepClock(), lambda: 0.5, rest_url="http://venue.test", transport=httpx.MockTransport(handle))
    (eth, *_) = await v.instruments()
    assert eth.symbol == "ETH-BTC"
    first = trades[0]["id"]
    batch = await v.trades("ETH-BTC", first, first)
    assert batch.columns_v1.trade_id.tolist() == [first]
    if rows:
        seconds = (rows[0][6] - rows[0][0] + 1) // 1000
        name = {60: "1m", 3600: "1h", 86400: "1d", 604800: "1w"}[seconds]
        got = await v.candles("ETH-BTC", name, rows[0][0] * 1_000_000, (rows[-1][0] + 1) * 1_000_000)
        assert len(got.open_time) == len(rows)
