"""What the fake exchange knows: symbols, trades, books; and what it answers from them."""

import json
from decimal import Decimal
from typing import Any

_INTERVALS = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800,
    "1h": 3600, "4h": 14_400, "1d": 86_400, "1w": 604_800,
}  # fmt: skip
_WEEK_SHIFT_MS = 4 * 86_400_000  # weeks open on Monday


def wire(value: Decimal | str | float) -> str:
    """A number as Binance writes it: eight digits behind the point."""
    return f"{Decimal(str(value)):.8f}"


class FakeSymbol:
    """One symbol: its trades by id, and a book that moves by update ids."""

    def __init__(self, base: str, quote: str, tick: str, step: str) -> None:
        self.base, self.quote, self.tick, self.step = base, quote, tick, step
        self.name = base + quote
        self.status = "TRADING"
        self.trades: list[dict[str, Any]] = []
        self.next_trade = 1
        self.update = 0
        self.diffs = 0
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}

    def trade(self, price: str, size: str, ms: int, *, buyer_is_maker: bool = False) -> dict[str, Any]:
        """Record a trade under the next id and return its stream event."""
        event = {
            "e": "trade", "E": ms, "s": self.name, "t": self.next_trade, "p": wire(price), "q": wire(size),
            "T": ms, "m": buyer_is_maker, "M": True,
        }  # fmt: skip
        self.next_trade += 1
        self.trades.append(event)
        return event

    def depth(self, bids: list[tuple[str, str]], asks: list[tuple[str, str]], ms: int) -> dict[str, Any]:
        """Change the book by one update and return its diff event."""
        self.update += 1
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, size in levels:
                if Decimal(size):
                    side[wire(price)] = wire(size)
                else:
                    side.pop(wire(price), None)
        return {
            "e": "depthUpdate", "E": ms, "s": self.name, "U": self.update, "u": self.update,
            "b": [[wire(p), wire(q)] for p, q in bids], "a": [[wire(p), wire(q)] for p, q in asks],
        }  # fmt: skip

    def apply(self, data: dict[str, Any]) -> None:
        """Take a recorded diff or snapshot over."""
        for side, levels in (
            (self.bids, data.get("b", data.get("bids"))),
            (self.asks, data.get("a", data.get("asks"))),
        ):
            for price, size in levels or []:
                if Decimal(size):
                    side[price] = size
                else:
                    side.pop(price, None)
        self.update = max(self.update, int(data.get("u", data.get("lastUpdateId", 0))))

    def snapshot(self, limit: int) -> dict[str, Any]:
        bids = sorted(self.bids.items(), key=lambda x: -Decimal(x[0]))[:limit]
        asks = sorted(self.asks.items(), key=lambda x: Decimal(x[0]))[:limit]
        return {"lastUpdateId": self.update, "bids": [list(x) for x in bids], "asks": [list(x) for x in asks]}

    def klines(self, interval: str, start: int | None, end: int | None, limit: int) -> list[list[Any]]:
        """Candles of the recorded trades, empty ones in between as Binance gives them; None for an unknown interval."""
        length = _INTERVALS[interval] * 1000
        shift = _WEEK_SHIFT_MS if interval == "1w" else 0
        bars: dict[int, list[dict[str, Any]]] = {}
        for trade in self.trades:
            bars.setdefault((trade["T"] - shift) // length * length + shift, []).append(trade)
        if not bars:
            return []
        out: list[list[Any]] = []
        close = ""
        for open_ms in range(min(bars), max(bars) + 1, length):
            found = bars.get(open_ms, [])
            prices = [Decimal(t["p"]) for t in found] or [Decimal(close)]
            close = wire(prices[-1])
            volume = sum((Decimal(t["q"]) for t in found), Decimal(0))
            quote = sum((Decimal(t["q"]) * Decimal(t["p"]) for t in found), Decimal(0))
            taker = sum((Decimal(t["q"]) for t in found if not t["m"]), Decimal(0))
            taker_quote = sum((Decimal(t["q"]) * Decimal(t["p"]) for t in found if not t["m"]), Decimal(0))
            out.append(
                [open_ms, wire(prices[0]), wire(max(prices)), wire(min(prices)), close, wire(volume),
                 open_ms + length - 1, wire(quote), len(found), wire(taker), wire(taker_quote), "0"]
            )  # fmt: skip
        out = [k for k in out if (start is None or k[0] >= start) and (end is None or k[0] <= end)]
        return out[:limit] if start is not None else out[-limit:]

    def info(self) -> dict[str, Any]:
        return {
            "symbol": self.name, "status": self.status, "baseAsset": self.base, "quoteAsset": self.quote,
            "baseAssetPrecision": 8, "quoteAssetPrecision": 8, "isSpotTradingAllowed": True,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": self.tick, "maxPrice": wire("1e6"), "tickSize": self.tick},
                {"filterType": "LOT_SIZE", "minQty": self.step, "maxQty": wire("9000"), "stepSize": self.step},
            ],
        }  # fmt: skip


class FakeMarket:
    """Every symbol of the fake exchange, and its REST answers (path and query to status and body)."""

    def __init__(self) -> None:
        self.symbols: dict[str, FakeSymbol] = {}
        self.weight_limit = 6000

    def add(self, base: str, quote: str, tick: str = "0.01000000", step: str = "0.00001000") -> FakeSymbol:
        symbol = FakeSymbol(base, quote, tick, step)
        self.symbols[symbol.name] = symbol
        return symbol

    def answer(self, path: str, query: dict[str, str], now_ms: int) -> tuple[int, Any]:
        """Status and JSON body of a GET under /api/v3/."""
        name = path.removeprefix("/api/v3/")
        if name == "ping":
            return 200, {}
        if name == "time":
            return 200, {"serverTime": now_ms}
        if name == "exchangeInfo":
            return 200, self._info(query, now_ms)
        symbol = self.symbols.get(query.get("symbol", ""))
        if name in {"ticker/price", "ticker/bookTicker"} and "symbol" not in query:
            return 200, [self._ticker(name, s) for s in self.symbols.values()]
        if symbol is None:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        limit = min(int(query.get("limit", "500")), 1000)
        if name == "klines":
            if query.get("interval") not in _INTERVALS:
                return 400, {"code": -1120, "msg": "Invalid interval."}
            start, end = (int(query[k]) if k in query else None for k in ("startTime", "endTime"))
            return 200, symbol.klines(query["interval"], start, end, limit)
        if name == "depth":
            return 200, symbol.snapshot(min(int(query.get("limit", "100")), 5000))
        if name in {"trades", "historicalTrades"}:
            first = int(query["fromId"]) if "fromId" in query else max(1, symbol.next_trade - limit)
            found = [t for t in symbol.trades if t["t"] >= first][:limit]
            return 200, [self._rest_trade(t) for t in found]
        if name in {"ticker/price", "ticker/bookTicker"}:
            return 200, self._ticker(name, symbol)
        return 404, {"code": -1000, "msg": f"no such path {path}"}

    def _info(self, query: dict[str, str], now_ms: int) -> dict[str, Any]:
        names = [query["symbol"]] if "symbol" in query else json.loads(query.get("symbols", "null"))
        limits = [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.weight_limit}
        ]
        symbols = [s.info() for s in self.symbols.values() if names is None or s.name in names]
        return {
            "timezone": "UTC",
            "serverTime": now_ms,
            "rateLimits": limits,
            "exchangeFilters": [],
            "symbols": symbols,
        }

    @staticmethod
    def _rest_trade(t: dict[str, Any]) -> dict[str, Any]:
        quote = wire(Decimal(t["p"]) * Decimal(t["q"]))
        return {
            "id": t["t"], "price": t["p"], "qty": t["q"], "quoteQty": quote, "time": t["T"],
            "isBuyerMaker": t["m"], "isBestMatch": True,
        }  # fmt: skip

    @staticmethod
    def _ticker(name: str, s: FakeSymbol) -> dict[str, Any]:
        if name == "ticker/price":
            return {"symbol": s.name, "price": s.trades[-1]["p"] if s.trades else wire("0")}
        top = s.snapshot(1)
        bid = top["bids"][0] if top["bids"] else [wire("0")] * 2
        ask = top["asks"][0] if top["asks"] else [wire("0")] * 2
        return {"symbol": s.name, "bidPrice": bid[0], "bidQty": bid[1], "askPrice": ask[0], "askQty": ask[1]}


def weight_of(name: str, query: dict[str, str]) -> int:
    """What a request costs, as Binance documents it."""
    limit = int(query.get("limit", "100"))
    by_limit = next((w for top, w in ((100, 5), (500, 25), (1000, 50)) if limit <= top), 250)
    weights = {
        "exchangeInfo": 20, "depth": by_limit, "trades": 25, "historicalTrades": 25, "klines": 2,
        "ticker/price": 2 if "symbol" in query else 4, "ticker/bookTicker": 2 if "symbol" in query else 4,
    }  # fmt: skip
    return weights.get(name, 1)
