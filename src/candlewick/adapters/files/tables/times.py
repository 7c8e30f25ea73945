"""Columns of times to ns UTC, whatever their unit: s, ms, us, ns, ISO 8601, or milliseconds of a given day."""

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters.files.tables.table import NO_TIME, Column

_DAY_MS = 86_400_000
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[T ]+(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?"
)
_LEAST_UNITS = ((1e17, 1), (1e14, 1_000), (1e11, 1_000_000), (0.0, 1_000_000_000))
"""Magnitude from which a number counts ns, us, ms, s: 1e11 s lies in the year 5138, 1e11 ms in 1973."""


def to_ns(column: Column, *, day: str | None = None) -> NDArray[np.int64]:
    """Times in ns UTC, ``NO_TIME`` where a cell is none. One unit holds for the whole column, judged by its median.

    ``day`` (YYYYMMDD) is the day of files whose times are milliseconds since midnight. ISO times without an offset
    are taken as UTC.
    """
    if column.kind == "time":
        return column.values.astype(np.int64)
    if column.kind == "text":
        return _of_text(column.values, day)
    if column.kind == "float":
        out = np.full(len(column), NO_TIME)
        good = np.isfinite(column.values)
        if good.any():
            unit = _unit(float(np.median(np.abs(column.values[good]))))
            # float64 holds a time of today to a microsecond at best
            micros = np.rint(column.values[good] * (unit / 1000)).astype(np.int64)
            out[good] = micros * 1000
        return out
    return _of_integers(column.values, day)


def _unit(typical: float) -> int:
    return next(unit for least, unit in _LEAST_UNITS if typical >= least)


def _of_integers(values: NDArray[np.int64], day: str | None) -> NDArray[np.int64]:
    if len(values) == 0:
        return values
    if day is not None and int(values.min()) >= 0 and int(values.max()) < _DAY_MS:
        midnight = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
        return values * 1_000_000 + int(midnight.timestamp()) * 1_000_000_000
    unit = _unit(float(np.median(np.abs(values))))
    fits = np.abs(values) < np.iinfo(np.int64).max // unit
    return np.where(fits, values * unit, NO_TIME)


def _of_text(cells: NDArray[Any], day: str | None) -> NDArray[np.int64]:
    texts: list[str | None] = cells.tolist()
    numeric = [text is not None and _NUMBER.fullmatch(text) is not None for text in texts]
    out = np.full(len(texts), NO_TIME)
    # eight digits alone are a date (20210402), not a number of seconds in 1970
    dates = [
        good and text is not None and len(text) == 8 and text.isdigit()
        for text, good in zip(texts, numeric, strict=True)
    ]
    if sum(numeric) > len(texts) // 2 and not (sum(dates) == len(texts) and day is None):
        return _of_numbers(texts, numeric, day)
    seen: dict[str, int] = {}
    for place, text in enumerate(texts):
        if text is not None:
            known = seen.get(text)
            out[place] = seen[text] = known if known is not None else _iso(text)
    return out


def _of_numbers(texts: list[str | None], numeric: list[bool], day: str | None) -> NDArray[np.int64]:
    out = np.full(len(texts), NO_TIME)
    places = [place for place, good in enumerate(numeric) if good]
    if all("." not in (texts[place] or "") for place in places):
        whole = [int(texts[place] or "0") for place in places]
        good = [abs(value) < 1 << 62 for value in whole]
        kept = [value if fits else 0 for value, fits in zip(whole, good, strict=True)]
        times = _of_integers(np.array(kept, np.int64), day)
        out[places] = np.where(np.array(good), times, NO_TIME)
        return out
    typical = float(np.median([abs(float(texts[place] or "0")) for place in places]))
    unit = _unit(typical)
    digits = {1: 0, 1_000: 3, 1_000_000: 6, 1_000_000_000: 9}[unit]
    for place in places:
        whole_part, _, fraction = (texts[place] or "").partition(".")
        out[place] = int(whole_part) * unit + int((fraction + "0" * digits)[:digits] or "0")
    return out


def _iso(text: str) -> int:
    """ns UTC of an ISO 8601 date or time, basic or extended; ``NO_TIME`` for anything else."""
    match = _ISO.fullmatch(text.strip())
    if match is None:
        return int(NO_TIME)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
    except ValueError:
        return int(NO_TIME)
    seconds = int(moment.timestamp())
    if offset and offset[0] in "+-":
        shift = (int(offset[1:3]) * 60 + int(offset[-2:])) * 60
        seconds -= shift if offset[0] == "+" else -shift
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
