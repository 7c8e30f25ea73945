"""What history says: candles it fetched or repaired, and the gap ledger's entries."""

from candlewick.contracts.base import MarketMessage
from candlewick.contracts.stream import CandleColumns


class CandlesFetched(MarketMessage, frozen=True):
    """Final candles as the venue serves them."""

    columns_v1: CandleColumns


class CandlesRepaired(MarketMessage, frozen=True):
    """Candles asked from the venue again to close a gap."""

    gap_id: str
    columns_v1: CandleColumns


class GapOpened(MarketMessage, frozen=True):
    """A hole entered the ledger; ``trades_missing`` is -1 when not known."""

    gap_id: str
    start_ns: int
    end_ns: int
    reason: str
    trades_missing: int
    detail: str


class GapClosed(MarketMessage, frozen=True):
    """``outcome``: repaired, verified_empty or lost."""

    gap_id: str
    outcome: str
    detail: str
