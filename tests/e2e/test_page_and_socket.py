"""The page of candles and the socket of their updates are one series [13, 21, 22]."""

import asyncio

import pytest

from tests.e2e.test_sockets import candles, finals, has_final, heard, open_socket

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


async def test_between_a_page_and_a_socket_no_candle_is_lost(demo):
    """Whoever asks for the page and then opens the socket has every candle, at whatever moment of a second."""
    path = "/ohlcv/demo/BTC-USDT/1s"

    async def followed(after_s):
        await asyncio.sleep(after_s)
        page = await asyncio.to_thread(demo.json, f"{path}?limit=20")
        async with open_socket(demo, f"/ws{path}") as ws:
            messages = []
            while len({c["open_time"] for c in finals(messages)}) < 3:
                messages += await heard(ws, has_final)
        return [c["open_time"] for c in [*page["candles"], *candles(messages)] if c["final"]]

    told = await asyncio.gather(*(followed(n * 0.083) for n in range(24)))
    first, last = min(min(times) for times in told), max(max(times) for times in told)
    page = demo.json(f"{path}?start={first}&end={last + 1}&limit=1000")["candles"]
    for times in told:
        expected = {c["open_time"] for c in page if times[0] <= c["open_time"] <= max(times)}
        assert expected <= set(times)
