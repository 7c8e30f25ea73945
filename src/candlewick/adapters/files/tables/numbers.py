"""Columns of decimals to integers at one scale, exactly, or refused row by row.

Text keeps its digits. A float64 stands for the shortest decimal of at most 12 digits behind the point that gives it
back; where there is none, it stands for one within four steps of it (what 0.1 + 0.2 leaves behind), and is counted as
such.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.adapters.files.tables.table import Column

MAX_SCALE = 12
"""Eight digits behind the point are what venues use; 12 leave room for a meme coin in BTC."""
_NOISE_STEPS = 4
_EXACT = float(1 << 53)
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


@dataclass(slots=True)
class Numbers:
    """``mantissas`` are Python integers (object array) or int64, 0 where ``refused`` names a code."""

    mantissas: NDArray[Any]
    scale: int
    refused: NDArray[Any]
    noisy: int = 0
    rounded: int = 0


def finite(column: Column) -> NDArray[np.bool_]:
    """Where a cell is a finite number."""
    if column.kind == "int":
        return np.ones(len(column), bool)
    if column.kind == "float":
        return np.asarray(np.isfinite(column.values), bool)
    return np.array([cell is not None and _decimal(cell) is not None for cell in column.values.tolist()], bool)


def integers(columns: list[Column], *, round_to: int | None = None) -> list[Numbers]:
    """Every column at the smallest scale (0..12) that holds all their finite cells.

    Refused are BAD_NUMBER (missing, NaN, infinite, no number) and TOO_PRECISE (needs more than 12 digits, unless
    ``round_to`` permits rounding half to even to so many digits).
    """
    pieces = [
        _text(column.values, round_to) if column.kind == "text" else _numeric(column.values, round_to)
        for column in columns
    ]
    scale = max((piece.scale for piece in pieces), default=0)
    for piece in pieces:
        if piece.scale != scale:
            piece.mantissas = _raised(piece.mantissas, scale - piece.scale)
            piece.scale = scale
    return pieces


def raised_to(numbers: Numbers, scale: int) -> NDArray[Any]:
    """The mantissas at a larger scale."""
    return _raised(numbers.mantissas, scale - numbers.scale)


def _raised(mantissas: NDArray[Any], digits: int) -> NDArray[Any]:
    factor = 10**digits
    if mantissas.dtype != object:
        largest = int(np.abs(mantissas).max(initial=0))
        if largest * factor < 1 << 63:
            return np.asarray(mantissas * factor)
        mantissas = mantissas.astype(object)
    return np.asarray(mantissas * factor)


def _decimal(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _text(cells: NDArray[Any], round_to: int | None) -> Numbers:
    refused = np.zeros(len(cells), object)
    digits: list[tuple[int, int]] = []
    scale = rounded = 0
    for place, cell in enumerate(cells.tolist()):
        if cell is not None and _PLAIN.fullmatch(cell):
            whole, _, fraction = cell.partition(".")
            fraction = fraction.rstrip("0")
            mantissa, behind = int(whole + fraction or "0") if (whole + fraction).strip("+-") else 0, len(fraction)
        else:
            value = _decimal(cell) if cell is not None else None
            if value is None:
                refused[place] = "BAD_NUMBER"
                digits.append((0, 0))
                continue
            mantissa, behind = _parts(value)
        if behind > MAX_SCALE:
            if round_to is None:
                refused[place] = "TOO_PRECISE"
                digits.append((0, 0))
                continue
            mantissa, behind = _parts(round(Decimal(mantissa).scaleb(-behind), round_to))
            rounded += 1
        scale = max(scale, behind)
        digits.append((mantissa, behind))
    return Numbers(
        _array([mantissa * 10 ** (scale - behind) for mantissa, behind in digits]), scale, refused, 0, rounded
    )


def _parts(value: Decimal) -> tuple[int, int]:
    """Mantissa and digits behind the point of a finite decimal, without trailing zeros."""
    sign, figures, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    mantissa = int("".join(map(str, figures)))
    if exponent >= 0:
        return (-1) ** sign * mantissa * 10**exponent, 0
    behind = -exponent
    while behind and mantissa % 10 == 0:
        mantissa, behind = mantissa // 10, behind - 1
    return (-1) ** sign * mantissa, behind


def _array(values: list[int]) -> NDArray[Any]:
    try:
        return np.array(values, np.int64)
    except OverflowError:
        out = np.empty(len(values), object)
        out[:] = values
        return out


def _scales(values: NDArray[np.float64], tolerance: NDArray[np.float64]) -> NDArray[np.int64]:
    """Digits behind the point that bring each value within its tolerance, -1 where 12 are not enough or the integer
    passes 2**53 (below it both integer and power are exact, so the division rounds once)."""
    need = np.full(len(values), -1)
    for scale in range(MAX_SCALE + 1):
        if (need >= 0).all():
            break
        power = 10.0**scale
        scaled = np.rint(values * power)
        need[(np.abs(scaled) < _EXACT) & (np.abs(scaled / power - values) <= tolerance) & (need < 0)] = scale
    return need


def _numeric(values: NDArray[Any], round_to: int | None) -> Numbers:
    refused = np.zeros(len(values), object)
    if values.dtype != np.float64:
        return Numbers(values.astype(np.int64), 0, refused)
    good = np.isfinite(values)
    refused[~good] = "BAD_NUMBER"
    kept = np.where(good, values, 0.0)
    need = _scales(kept, np.zeros(len(kept)))
    rounded = 0
    slow: dict[int, tuple[int, int]] = {}
    long: list[int] = []
    for place in np.flatnonzero(need < 0).tolist():
        mantissa, behind = _parts(Decimal(repr(float(kept[place]))))
        if behind <= MAX_SCALE:
            slow[place] = (mantissa, behind)
        else:
            long.append(place)
    if long:
        need[long] = _scales(kept[long], _NOISE_STEPS * np.spacing(np.abs(kept[long])))
    for place in [place for place in long if need[place] < 0]:
        if round_to is None:
            refused[place] = "TOO_PRECISE"
            continue
        slow[place] = _parts(round(Decimal(repr(float(kept[place]))), round_to))
        rounded += 1
    scale = max([int(need.max(initial=0)), *(behind for _, behind in slow.values())])
    mantissas: NDArray[Any] = np.zeros(len(kept), np.int64)
    noisy = 0
    for at in np.unique(need[need >= 0]).tolist():
        mine = np.flatnonzero(need == at)
        # the integer at the number's own scale, then raised: at the column's scale the float's error could show
        own = np.rint(kept[mine] * 10.0**at)
        noisy += int((own / 10.0**at != kept[mine]).sum())
        raised = _raised(own.astype(np.int64), scale - at)
        if raised.dtype == object and mantissas.dtype != object:
            mantissas = mantissas.astype(object)
        mantissas[mine] = raised
    if slow:
        mantissas = mantissas.astype(object)
        for place, (mantissa, behind) in slow.items():
            mantissas[place] = mantissa * 10 ** (scale - behind)
    return Numbers(mantissas, scale, refused, noisy, rounded)
