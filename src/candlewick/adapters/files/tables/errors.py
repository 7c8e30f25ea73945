"""What can be wrong with a file, and with a row of it."""

from dataclasses import dataclass, field
from typing import Final

from candlewick.kernel.errors import Corrupt, NotFound, Rejected


class FileNotThere(NotFound):
    """The file named does not exist or cannot be read."""

    code = "FILE_NOT_FOUND"


class UnknownFileFormat(Rejected):
    """A file that is none of CSV, JSON, Parquet, Feather or a ZIP of them."""

    code = "UNKNOWN_FILE_FORMAT"


class UnknownColumns(Rejected):
    """Columns in which neither candles nor trades can be recognised."""

    code = "UNKNOWN_COLUMNS"


class TimeframeNotClear(Rejected):
    """Neither the times nor the name of a file tell its timeframe."""

    code = "TIMEFRAME_NOT_CLEAR"


class FileDamaged(Corrupt):
    """A file that ends early or does not hold what its name says; rows before the damage were given out."""

    code = "FILE_DAMAGED"


ROW_CODES: Final[dict[str, str]] = {
    "BAD_TIME": "the time is missing or cannot be read",
    "BAD_NUMBER": "a price, size or count is missing, not a number, or not finite",
    "NOT_POSITIVE": "a price (or a trade's size) is zero or negative",
    "NEGATIVE_VOLUME": "a volume is negative",
    "HIGH_BELOW_LOW": "the high is below the low",
    "OUTSIDE_RANGE": "open or close is not between low and high",
    "MISALIGNED": "the open time is not a multiple of the timeframe",
    "DUPLICATE_TIME": "a candle of this open time was read before",
    "DUPLICATE_ID": "a trade of this id was read before",
    "OUT_OF_ORDER": "the time is earlier than that of a row before it",
    "NOT_CLOSED": "the candle had not closed, or the trade not happened, when the file was read",
    "TOO_PRECISE": "a number has more than 12 digits behind the point (--round DIGITS permits rounding)",
    "TOO_LARGE": "a number does not fit 64 bits at the scale of its column",
    "OTHER_SYMBOL": "the row names another symbol",
    "BAD_SIDE": "the side is neither buy nor sell",
    "WRONG_WIDTH": "the row has another number of cells than the first one",
}
"""Why a row is refused; stable codes."""


@dataclass(slots=True)
class Problems:
    """Refused rows: all counted, the first ones kept. ``first`` holds (row, code, what was there)."""

    most: int = 20
    counts: dict[str, int] = field(default_factory=dict)
    first: list[tuple[int, str, str]] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def add(self, row: int, code: str, value: object) -> None:
        assert code in ROW_CODES
        self.counts[code] = self.counts.get(code, 0) + 1
        if len(self.first) < self.most:
            self.first.append((row, code, str(value)[:120]))

    def note(self, text: str, count: int = 1) -> None:
        """Something done to accepted rows that the reader of a summary should know of."""
        if count:
            self.notes[text] = self.notes.get(text, 0) + count

    @property
    def total(self) -> int:
        return sum(self.counts.values())
