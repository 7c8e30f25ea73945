"""Tables to final candles. A row is taken as it stands or refused with a code; none is changed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters.files.tables import names, numbers
from candlewick.adapters.files.tables.columns import Meaning
from candlewick.adapters.files.tables.errors import Problems, TimeframeNotClear
from candlewick.adapters.files.tables.numbers import Numbers
from candlewick.adapters.files.tables.table import NO_TIME, Column, Table
from candlewick.adapters.files.tables.times import to_ns
from candlewick.contracts.base import Origin, frozen
from candlewick.contracts.stream import EMPTY, FINAL, GAPPED, CandleColumns
from candlewick.contracts.timeframes import NAMES, SECONDS, open_of
from candlewick.kernel.clock import NS_PER_SECOND

_PRICES = ("open", "high", "low", "close")
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader of files was told. ``now_ns`` separates what has closed from what has not."""

    path: Path
    symbol: str
    now_ns: int
    timeframe_s: int | None = None
    round_to: int | None = None


def to_candles(table: Table, meaning: Meaning, reading: Reading, problems: Problems) -> CandleColumns:
    """The table's good rows, oldest first, each open time once; the others are in ``problems``.

    Origin is FETCHED unless the file says otherwise, revision 0, ``trades`` -1 and other volumes 0 where the file has
    none, ``known_at`` the close of the candle. Raises TimeframeNotClear.
    """
    for row, text in table.malformed:
        problems.add(row, "WRONG_WIDTH", text)
    keyed_by_close = "time" not in meaning.places
    column = meaning.column(table, "close_time" if keyed_by_close else "time")
    assert column is not None
    times = to_ns(column, day=names.day_in_name(reading.path))
    steps = np.diff(times[times != NO_TIME])
    if (steps < 0).sum() > (steps > 0).sum():
        problems.note("rows are newest first; they were read in reverse")
        table = Table(table.names, tuple(c.take(np.arange(len(c))[::-1]) for c in table.columns), table.rows[::-1])
        times = times[::-1]
    seconds = reading.timeframe_s or _timeframe(times, reading.path)
    length = seconds * NS_PER_SECOND
    if keyed_by_close:
        # ends are the next candle's open, or a moment before it
        times = np.where(times == NO_TIME, times, (times + length // 2) // length * length - length)
    refused = np.zeros(len(table), object)
    refused[times == NO_TIME] = "BAD_TIME"
    prices, volumes, quote = _numbers(table, meaning, reading, refused, problems)
    opens = (
        np.array([open_of(int(ts), seconds) for ts in times]) if seconds == SECONDS["1w"] else times // length * length
    )
    _refuse(refused, times != opens, "MISALIGNED")
    _refuse(refused, times + length > reading.now_ns, "NOT_CLOSED")
    _check_prices(refused, [each.mantissas for each in prices])
    _check_volumes(refused, volumes, quote)
    _check_symbol(refused, table, meaning, reading.symbol)
    _check_order(refused, times)
    bad = np.flatnonzero(refused != 0)
    for place in bad[np.argsort(table.rows[bad])].tolist():
        problems.add(int(table.rows[place]), refused[place], _row_text(table, meaning, place))
    return _columns(table, meaning, np.flatnonzero(refused == 0), times, seconds, prices, volumes, quote)


def _timeframe(times: NDArray[np.int64], path: Path) -> int:
    """The commonest step between rows, else what the name says."""
    steps = np.diff(np.sort(times[times != NO_TIME]))
    steps = steps[steps > 0]
    named = names.timeframe_in_name(path)
    if len(steps):
        found, counts = np.unique(steps, return_counts=True)
        common = int(found[counts.argmax()]) // NS_PER_SECOND
        if common in NAMES and (named is None or named == common or len(steps) > 2):
            return common
    if named is not None:
        return named
    raise TimeframeNotClear(
        f"the times of {path.name} are not those of a timeframe ({', '.join(SECONDS)})",
        hint="Say which with --timeframe, for example --timeframe 1m",
    )


def _refuse(refused: NDArray[Any], where: NDArray[np.bool_], code: str) -> None:
    refused[where & (refused == 0)] = code


def _numbers(
    table: Table, meaning: Meaning, reading: Reading, refused: NDArray[Any], problems: Problems
) -> tuple[list[Numbers], list[Numbers | None], Numbers | None]:
    """Prices at one scale; volume and taker's volume at one; quote volume at the sum of both, raising the second."""
    priced = [table.columns[meaning.places[name]] for name in _PRICES]
    prices = numbers.integers(priced, round_to=reading.round_to)
    volume, taker = meaning.column(table, "volume"), meaning.column(table, "taker_buy_volume")
    quoted = meaning.column(table, "quote_volume")
    sized = numbers.integers([c for c in (volume, taker) if c is not None], round_to=reading.round_to)
    quote = numbers.integers([quoted], round_to=reading.round_to)[0] if quoted is not None else None
    for each in [*prices, *sized, *([quote] if quote else [])]:
        problems.note("numbers a rounding error away from a decimal were taken as that decimal", each.noisy)
        problems.note("numbers were rounded as asked", each.rounded)
        missing = each.refused != 0
        refused[missing & (refused == 0)] = each.refused[missing & (refused == 0)]
    volumes: list[Numbers | None] = [
        sized.pop(0) if volume is not None else None,
        sized.pop(0) if taker is not None else None,
    ]
    if quote is not None:
        size_scale = max([each.scale for each in volumes if each], default=0)
        room = max(size_scale, quote.scale - prices[0].scale)
        for each in filter(None, volumes):
            each.mantissas, each.scale = numbers.raised_to(each, room), room
        quote.mantissas, quote.scale = numbers.raised_to(quote, prices[0].scale + room), prices[0].scale + room
    return prices, volumes, quote


def _check_prices(refused: NDArray[Any], prices: list[NDArray[Any]]) -> None:
    o, h, low, c = prices
    _refuse(refused, np.minimum.reduce([o, h, low, c]) <= 0, "NOT_POSITIVE")
    _refuse(refused, (h < low).astype(bool), "HIGH_BELOW_LOW")
    outside = (o > h) | (o < low) | (c > h) | (c < low)
    _refuse(refused, outside.astype(bool), "OUTSIDE_RANGE")
    for each in prices:
        if each.dtype == object:
            _refuse(refused, (each > np.iinfo(np.int64).max).astype(bool), "TOO_LARGE")


def _check_volumes(refused: NDArray[Any], volumes: list[Numbers | None], quote: Numbers | None) -> None:
    for each in filter(None, [*volumes, quote]):
        _refuse(refused, (each.mantissas < 0).astype(bool), "NEGATIVE_VOLUME")
        if each.mantissas.dtype == object:
            _refuse(refused, (each.mantissas >= 1 << 127).astype(bool), "TOO_LARGE")


def _check_symbol(refused: NDArray[Any], table: Table, meaning: Meaning, symbol: str) -> None:
    column = meaning.column(table, "symbol")
    if column is None or column.kind != "text":
        return
    known: dict[Any, bool] = {}
    for place, cell in enumerate(column.values.tolist()):
        if cell not in known:
            found = names.symbol_of(cell) if cell else None
            known[cell] = found is not None and found != symbol
        if known[cell] and refused[place] == 0:
            refused[place] = "OTHER_SYMBOL"


def _check_order(refused: NDArray[Any], times: NDArray[np.int64]) -> None:
    """Good rows rise in time. A lone row that jumps ahead of its two successors is the one at fault."""
    places = np.flatnonzero(refused == 0)
    mine = times[places]
    if len(mine) < 2 or (np.diff(mine) > 0).all():
        return
    rising = mine.tolist()
    newest: int | None = None
    seen: set[int] = set()
    for at, time in enumerate(rising):
        if newest is not None and time <= newest:
            refused[places[at]] = "DUPLICATE_TIME" if time in seen else "OUT_OF_ORDER"
            continue
        following = rising[at + 1 : at + 3]
        if len(following) == 2 and (newest is None or following[0] > newest) and max(following) < time:
            refused[places[at]] = "OUT_OF_ORDER"
            continue
        newest = time
        seen.add(time)


def _row_text(table: Table, meaning: Meaning, place: int) -> str:
    used = [name for name in ("time", "close_time", *_PRICES, "volume") if name in meaning.places]
    return ", ".join(f"{name} {table.columns[meaning.places[name]].values[place]}" for name in used)


def _limbs(values: NDArray[Any] | None, n: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    if values is None:
        return np.zeros(n, np.int64), np.zeros(n, np.uint64)
    if values.dtype != object:
        return np.zeros(n, np.int64), values.astype(np.uint64)
    high = np.array([value >> 64 for value in values.tolist()], np.int64)
    return high, np.array([value & _MASK for value in values.tolist()], np.uint64)


def _columns(
    table: Table,
    meaning: Meaning,
    kept: NDArray[np.intp],
    times: NDArray[np.int64],
    seconds: int,
    prices: list[Numbers],
    volumes: list[Numbers | None],
    quote: Numbers | None,
) -> CandleColumns:
    n = len(kept)
    opens = times[kept]
    volume, taker = (None if each is None else each.mantissas[kept] for each in volumes)
    volume_hi, volume_lo = _limbs(volume, n)
    taker_hi, taker_lo = _limbs(taker, n)
    quote_hi, quote_lo = _limbs(None if quote is None else quote.mantissas[kept], n)
    trades = _counts(meaning.column(table, "trades"), kept)
    flags = np.full(n, FINAL, np.uint8)
    if volume is not None:
        flags[(volume == 0).astype(bool) & (trades <= 0)] |= EMPTY
    flags |= np.where(_is(meaning.column(table, "quality"), kept, "gapped"), GAPPED, 0).astype(np.uint8)
    simulated = _is(meaning.column(table, "origin"), kept, "simulated")
    origin = np.where(simulated, Origin.SIMULATED, Origin.FETCHED).astype(np.uint8)
    price = [each.mantissas[kept].astype(np.int64) for each in prices]
    scale_of_sizes = next((each.scale for each in volumes if each), quote.scale - prices[0].scale if quote else 0)
    return CandleColumns(
        timeframe=frozen(np.full(n, seconds, np.int32)),
        open_time=frozen(opens),
        open=frozen(price[0]),
        high=frozen(price[1]),
        low=frozen(price[2]),
        close=frozen(price[3]),
        volume_hi=frozen(volume_hi),
        volume_lo=frozen(volume_lo),
        taker_hi=frozen(taker_hi),
        taker_lo=frozen(taker_lo),
        quote_hi=frozen(quote_hi),
        quote_lo=frozen(quote_lo),
        trades=frozen(trades),
        revision=frozen(np.zeros(n, np.int32)),
        flags=frozen(flags),
        origin=frozen(origin),
        known_at=frozen(opens + seconds * NS_PER_SECOND),
        price_scale=prices[0].scale,
        size_scale=scale_of_sizes,
    )


def _counts(column: Column | None, kept: NDArray[np.intp]) -> NDArray[np.int64]:
    """Numbers of trades, -1 where a cell is none."""
    if column is None:
        return np.full(len(kept), -1, np.int64)
    found = numbers.integers([column.take(kept)])[0]
    unit = 10**found.scale
    good = (found.refused == 0) & (found.mantissas >= 0).astype(bool) & (found.mantissas % unit == 0).astype(bool)
    return np.where(good, found.mantissas // unit, -1).astype(np.int64)


def _is(column: Column | None, kept: NDArray[np.intp], word: str) -> NDArray[np.bool_]:
    if column is None or column.kind != "text":
        return np.zeros(len(kept), bool)
    return np.array([cell == word for cell in column.values[kept].tolist()], bool)
