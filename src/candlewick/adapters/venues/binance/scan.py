"""Trades and best quotes to columns without a Python object a frame: a compiled scanner for the shapes Binance sends.

The scanner knows exactly
``{"stream":"<s>@trade","data":{"e":"trade","E":n,"s":"<S>","t":n,"p":"d","q":"d","T":n,"m":bool,"M":bool}}``
(with or without the order ids ``b`` and ``a`` that were sent until June 2024) and
``{"stream":"<s>@bookTicker","data":{"u":n,"s":"<S>","b":"d","B":"d","a":"d","A":"d"}}``. It takes a frame only when
every byte fits; anything else is left to the typed JSON decoder, so the scanner needs no opinion on what is valid.
"""

import numpy as np

from candlewick.quant.compiled import inlined, kernel


def _bytes(text: str) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    return np.frombuffer(text.encode(), np.uint8)


_STREAM = _bytes('{"stream":"')
_EVENT = _bytes('@trade","data":{"e":"trade","E":')
_SYMBOL = _bytes(',"s":"')
_ID = _bytes('","t":')
_PRICE = _bytes(',"p":"')
_SIZE = _bytes('","q":"')
_BUYER = _bytes('","b":')
_SELLER = _bytes(',"a":')
_TIME_AFTER_ID = _bytes(',"T":')
_TIME = _bytes('","T":')
_MAKER = _bytes(',"m":')
_IGNORED = _bytes(',"M":')
_TRUE = _bytes("true")
_FALSE = _bytes("false")
_END = _bytes("}}")
_QUOTE_EVENT = _bytes('@bookTicker","data":{"u":')
_BID = _bytes('","b":"')
_BID_SIZE = _bytes('","B":"')
_ASK = _bytes('","a":"')
_ASK_SIZE = _bytes('","A":"')
_QUOTE_END = _bytes('"}}')

TRADE, QUOTE = 1, 2
COLUMNS = 8

MAX_NAME = 24  # longest symbol the table holds


@inlined
def _literal(buf, at, end, text):  # type: ignore[no-untyped-def]
    n = len(text)
    if at < 0 or at + n > end:
        return -1
    for k in range(n):
        if buf[at + k] != text[k]:
            return -1
    return at + n


@inlined
def _whole(buf, at, end):  # type: ignore[no-untyped-def]
    value = 0
    start = at
    if at < 0:
        return 0, -1
    while at < end and buf[at] >= 48 and buf[at] <= 57 and at - start < 18:
        value = value * 10 + (int(buf[at]) - 48)
        at += 1
    if at == start or (buf[start] == 48 and at - start > 1):
        return 0, -1
    return value, at


@inlined
def _decimal(buf, at, end, scale):  # type: ignore[no-untyped-def]
    value = 0
    start = at
    digits = 0
    if at < 0:
        return 0, -1
    while at < end and buf[at] >= 48 and buf[at] <= 57:
        value = value * 10 + (int(buf[at]) - 48)
        at += 1
        if value > 0:
            digits += 1
        if digits > 18:
            return 0, -1
    if at == start:
        return 0, -1
    left = scale
    if at < end and buf[at] == 46:
        at += 1
        point = at
        while at < end and buf[at] >= 48 and buf[at] <= 57:
            if left > 0:
                value = value * 10 + (int(buf[at]) - 48)
                left -= 1
                if value > 0:
                    digits += 1
                if digits > 18:
                    return 0, -1
            elif buf[at] != 48:
                return 0, -1
            at += 1
        if at == point:
            return 0, -1
    for _ in range(left):
        value = value * 10
        if value > 0:
            digits += 1
    if digits > 18:
        return 0, -1
    return value, at


@inlined
def _flag(buf, at, end):  # type: ignore[no-untyped-def]
    to = _literal(buf, at, end, _TRUE)
    if to >= 0:
        return 1, to
    return 0, _literal(buf, at, end, _FALSE)


@inlined
def _slot(buf, at, size, names, lengths, table):  # type: ignore[no-untyped-def]
    h = np.uint64(14695981039346656037)
    for k in range(size):
        h = (h ^ np.uint64(buf[at + k])) * np.uint64(1099511628211)
    mask = len(table) - 1
    place = np.int64(h & np.uint64(mask))
    for _ in range(len(table)):
        slot = table[place] - 1
        if slot < 0:
            return -1
        if lengths[slot] == size:
            same = True
            for k in range(size):
                if names[slot, k] != buf[at + k]:
                    same = False
                    break
            if same:
                return slot
        place = (place + 1) & mask
    return -1


@inlined
def _same_name(buf, stream, at, end, size):  # type: ignore[no-untyped-def]
    if at < 0 or at + size > end:
        return False
    for k in range(size):
        upper = buf[at + k]
        lower = upper + 32 if upper >= 65 and upper <= 90 else upper
        if buf[stream + k] != lower:
            return False
    return True


@inlined
def _trade(buf, stream, size, at, end, names, lengths, table, price_scale, size_scale, row):  # type: ignore[no-untyped-def]
    event, at = _whole(buf, at, end)
    at = _literal(buf, at, end, _SYMBOL)
    if not _same_name(buf, stream, at, end, size):
        return
    slot = _slot(buf, at, size, names, lengths, table)
    if slot < 0:
        return
    trade_id, at = _whole(buf, _literal(buf, at + size, end, _ID), end)
    price, at = _decimal(buf, _literal(buf, at, end, _PRICE), end, price_scale[slot])
    amount, at = _decimal(buf, _literal(buf, at, end, _SIZE), end, size_scale[slot])
    if at < 0:
        return
    old = _literal(buf, at, end, _BUYER)
    if old >= 0:
        _, at = _whole(buf, old, end)
        _, at = _whole(buf, _literal(buf, at, end, _SELLER), end)
        at = _literal(buf, at, end, _TIME_AFTER_ID)
    else:
        at = _literal(buf, at, end, _TIME)
    time, at = _whole(buf, at, end)
    maker, at = _flag(buf, _literal(buf, at, end, _MAKER), end)
    _, at = _flag(buf, _literal(buf, at, end, _IGNORED), end)
    if _literal(buf, at, end, _END) != end or price <= 0 or amount <= 0:
        return
    row[1] = TRADE
    row[2] = event
    row[3] = trade_id
    row[4] = price
    row[5] = amount
    row[6] = time
    row[7] = maker
    row[0] = slot


@inlined
def _quote(buf, stream, size, at, end, names, lengths, table, price_scale, size_scale, row):  # type: ignore[no-untyped-def]
    update, at = _whole(buf, at, end)
    at = _literal(buf, at, end, _SYMBOL)
    if not _same_name(buf, stream, at, end, size):
        return
    slot = _slot(buf, at, size, names, lengths, table)
    if slot < 0:
        return
    bid, at = _decimal(buf, _literal(buf, at + size, end, _BID), end, price_scale[slot])
    bid_size, at = _decimal(buf, _literal(buf, at, end, _BID_SIZE), end, size_scale[slot])
    ask, at = _decimal(buf, _literal(buf, at, end, _ASK), end, price_scale[slot])
    ask_size, at = _decimal(buf, _literal(buf, at, end, _ASK_SIZE), end, size_scale[slot])
    if _literal(buf, at, end, _QUOTE_END) != end or bid <= 0 or ask <= 0:
        return
    row[1] = QUOTE
    row[2] = update
    row[3] = bid
    row[4] = bid_size
    row[5] = ask
    row[6] = ask_size
    row[7] = 0
    row[0] = slot


@kernel(
    "const u1[:]", "const i8[:]", "const i8[:]", "const i8[:,:]", "const i8[:]", "const i8[:]",
    "const i8[:]", "const i8[:]", "i8[:,:]",
)  # fmt: skip
def scan_frames(buf, starts, ends, names, lengths, table, price_scale, size_scale, out):  # type: ignore[no-untyped-def]
    """Write one row a frame into ``out`` (n, 8): slot, kind, then what the kind holds.

    TRADE: event ms, id, price, size, trade ms, buyer is maker. QUOTE: update id, bid, its size, ask, its size, 0.
    ``slot`` is the symbol's row in ``names`` (venue's spelling, one code a cell), or -1: decode the frame yourself.
    """
    for r in range(len(starts)):
        out[r, 0] = -1
        end = ends[r]
        stream = _literal(buf, starts[r], end, _STREAM)
        if stream < 0:
            continue
        at = stream
        while at < end and buf[at] != 64 and at - stream <= MAX_NAME:
            at += 1
        size = at - stream
        after = _literal(buf, at, end, _EVENT)
        if after >= 0:
            _trade(buf, stream, size, after, end, names, lengths, table, price_scale, size_scale, out[r])
            continue
        after = _literal(buf, at, end, _QUOTE_EVENT)
        if after >= 0:
            _quote(buf, stream, size, after, end, names, lengths, table, price_scale, size_scale, out[r])


class SymbolTable:
    """Venue symbols and their scales in the shape the scanner reads."""

    def __init__(self, symbols: list[str], price_scales: list[int], size_scales: list[int]) -> None:
        count = len(symbols)
        size = 16
        while size < 4 * count:
            size *= 2
        self.names = np.zeros((max(count, 1), MAX_NAME), np.int64)
        self.lengths = np.zeros(max(count, 1), np.int64)
        self.table = np.zeros(size, np.int64)
        self.price_scales = np.array(price_scales or [0], np.int64)
        self.size_scales = np.array(size_scales or [0], np.int64)
        for slot, symbol in enumerate(symbols):
            raw = symbol.encode()
            if len(raw) > MAX_NAME:
                continue  # the scanner will not find it, and the JSON decoder takes its frames
            self.names[slot, : len(raw)] = list(raw)
            self.lengths[slot] = len(raw)
            h = 14695981039346656037
            for code in raw:
                h = ((h ^ code) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
            place = h & (size - 1)
            while self.table[place]:
                place = (place + 1) & (size - 1)
            self.table[place] = slot + 1
