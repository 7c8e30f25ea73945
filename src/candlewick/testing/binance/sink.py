"""A sink that keeps what it is given."""

from collections import Counter
from typing import TypeVar

from candlewick.contracts.base import Message
from candlewick.contracts.collector import TradeBatch

M = TypeVar("M", bound=Message)
Row = tuple[int, int, int, int, int]


class KeepingSink:
    """Keeps messages, frames and complaints in the order they came; congested when told so."""

    def __init__(self) -> None:
        self.messages: list[tuple[Message, int]] = []
        self.frames: list[tuple[int, bytes]] = []
        self.complaints: list[tuple[str, str, bytes]] = []
        self.congested = False

    def message(self, message: Message, ts_recv: int) -> None:
        self.messages.append((message, ts_recv))

    def frame(self, ts_recv: int, raw: bytes) -> None:
        self.frames.append((ts_recv, raw))

    def nonsense(self, code: str, detail: str, raw: bytes) -> None:
        self.complaints.append((code, detail, raw))

    def is_congested(self) -> bool:
        return self.congested

    def of(self, kind: type[M], symbol: str | None = None) -> list[M]:
        """Messages of one kind, of one symbol if given."""
        return [
            m
            for m, _ in self.messages
            if isinstance(m, kind) and (symbol is None or getattr(m, "symbol", "") == symbol)
        ]

    def trades(self, symbol: str | None = None) -> list[Row]:
        """(id, price mantissa, size mantissa, ts_event, side) of every trade, in order."""
        rows: list[Row] = []
        for batch in self.of(TradeBatch, symbol):
            c = batch.columns_v1
            columns = (c.trade_id, c.price, c.size, c.ts_event, c.side)
            rows.extend(zip(*(column.tolist() for column in columns), strict=True))
        return rows

    def codes(self) -> Counter[str]:
        """How often each complaint was made."""
        return Counter(code for code, _, _ in self.complaints)
