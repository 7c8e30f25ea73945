"""Scanned rows of trades to one run of columns a symbol, without an array operation a symbol."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters.venues.binance.scan import TRADE
from candlewick.kernel.clock import NS_PER_MS
from candlewick.quant.compiled import kernel

I8 = NDArray[np.int64]
ID, PRICE, SIZE, EVENT, RECV = range(5)
TRADES, OTHERS, UNKNOWN, SKEW_MS, FIRST_EVENT, LOWEST_EVENT, HIGHEST_EVENT, FIRST_RECV, RECV_OF_HIGHEST = range(9)
FACTS = 9


@kernel("const i8[:,:]", "const i8[:]", "i8[:]", is_brief=True)
def survey(rows: Any, times: Any, facts: Any) -> None:
    """How many rows are trades, other known frames, or unknown; and of the trades their times: the widest skew between
    event and trade time in ms, then event times as sent by the venue (``E``) and receive times, in ns."""
    trades = 0
    others = 0
    skew = 0
    highest = 0
    lowest = 0
    for i in range(rows.shape[0]):
        if rows[i, 0] < 0:
            continue
        if rows[i, 1] != TRADE:
            others += 1
            continue
        event = rows[i, 2]
        skew = max(skew, abs(event - rows[i, 6]))
        if trades == 0:
            facts[FIRST_EVENT] = event * NS_PER_MS
            facts[FIRST_RECV] = times[i]
            lowest = event
        if trades == 0 or event > highest:
            highest = event
            facts[RECV_OF_HIGHEST] = times[i]
        lowest = min(lowest, event)
        trades += 1
    facts[TRADES] = trades
    facts[OTHERS] = others
    facts[UNKNOWN] = rows.shape[0] - trades - others
    facts[SKEW_MS] = skew
    facts[LOWEST_EVENT] = lowest * NS_PER_MS
    facts[HIGHEST_EVENT] = highest * NS_PER_MS


@kernel("const i8[:,:]", "const i8[:]", "i8[:]", "i8[:,:]", "u1[:]", "u1[:]", is_brief=True)
def sort_trades(rows: Any, times: Any, stops: Any, columns: Any, sides: Any, dense: Any) -> None:
    """Trades into ``columns`` (5, trades: id, price, size, trade time and receive time in ns) and ``sides`` (1: buy),
    symbols one after the other, each in order of arrival. Symbol ``s`` ends before ``stops[s]``; ``dense[s]`` is 1 when
    its ids simply go on."""
    slots = stops.shape[0]
    for s in range(slots):
        stops[s] = 0
        dense[s] = 1
    for i in range(rows.shape[0]):
        if rows[i, 0] >= 0 and rows[i, 1] == TRADE:
            stops[rows[i, 0]] += 1
    begin = 0
    for s in range(slots):
        count = stops[s]
        stops[s] = begin
        begin += count
    for i in range(rows.shape[0]):
        s = rows[i, 0]
        if s < 0 or rows[i, 1] != TRADE:
            continue
        at = stops[s]
        columns[ID, at] = rows[i, 3]
        columns[PRICE, at] = rows[i, 4]
        columns[SIZE, at] = rows[i, 5]
        columns[EVENT, at] = rows[i, 6] * NS_PER_MS
        columns[RECV, at] = times[i]
        sides[at] = 1 - rows[i, 7]
        stops[s] = at + 1
    begin = 0
    for s in range(slots):
        for at in range(begin + 1, stops[s]):
            if columns[ID, at] != columns[ID, at - 1] + 1:
                dense[s] = 0
                break
        begin = stops[s]
