"""The fake exchange as the conformance suite steers it."""

import json
from collections.abc import Sequence

from candlewick.kernel.clock import NS_PER_MS
from candlewick.testing.binance.server import FakeBinance

_JUNK = (b"{", b"\xff\xfe\x00", b"[]", b'{"stream":"btcusdt@trade","data":{"e":"trade","t":"x"}}', b"12")


class BenchExchange:
    """``testing.conformance.venue.Exchange`` over the fake Binance; lists BTC-USDT and ETH-USDT."""

    symbols = ("BTC-USDT", "ETH-USDT")

    def __init__(self, fake: FakeBinance) -> None:
        self.fake = fake
        for base in ("BTC", "ETH"):
            fake.market.add(base, "USDT")
        fake.market.symbols["BTCUSDT"].depth([("99", "1")], [("101", "1")], 0)

    @staticmethod
    def _name(symbol: str) -> str:
        return symbol.replace("-", "")

    def trade(
        self, symbol: str, price: str, size: str, *, is_buy: bool = True, ts_ns: int | None = None,
        withheld: bool = False, times: int = 1,
    ) -> int:  # fmt: skip
        ms = None if ts_ns is None else ts_ns // NS_PER_MS
        return self.fake.trade(
            self._name(symbol), price, size, ms=ms, buyer_is_maker=not is_buy, withheld=withheld, times=times
        )

    def send_again(self, symbol: str, trade_id: int) -> None:
        name = self._name(symbol)
        event = next(t for t in self.fake.market.symbols[name].trades if t["t"] == trade_id)
        self.fake.publish(f"{name.lower()}@trade", event)

    def quote(self, symbol: str, bid: str, ask: str) -> None:
        self.fake.quote(self._name(symbol), bid, ask)

    def book(self, symbol: str, bids: Sequence[tuple[str, str]], *, withheld: bool = False) -> None:
        self.fake.depth(self._name(symbol), bids, withheld=withheld)

    def cut(self) -> None:
        for connection in self.fake.open_connections():
            connection.drop(json.dumps({"stream": "btcusdt@trade", "data": {"p": "1" * 200}}).encode())

    def hush(self, is_silent: bool) -> None:
        self.fake.faults.is_silent = is_silent

    def garble(self) -> int:
        connections = self.fake.open_connections()
        for connection in connections:
            for junk in _JUNK:
                connection.send(junk)
        return len(_JUNK) * len(connections)

    def refuse(self, status: int, times: int, retry_after_s: int | None = None) -> None:
        self.fake.faults.rest.clear()
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self.fake.faults.rest.extend([(status, headers)] * times)

    @property
    def asked(self) -> int:
        return self.fake.asked.total()

    @property
    def violations(self) -> Sequence[str]:
        return self.fake.violations

    @property
    def now_ns(self) -> int:
        return self.fake.clock.now_ns()
