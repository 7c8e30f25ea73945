"""What one step sees and changes of a key's cold entries."""

from collections.abc import Mapping

import numpy as np

from candlewick.quant.candles.blocks import MINUTE_PLACE, read_block, write_block
from candlewick.quant.candles.layout import (
    FRAME_SECONDS,
    GAP,
    GAPS_NAME,
    MINUTE,
    R_PRICE_SCALE,
    R_QUOTE,
    R_SIZE_SCALE,
    R_TAKER,
    R_TIMEFRAME,
    R_VOLUME,
    ROW,
    SECOND,
    Words,
    block_name,
    frame_name,
)
from candlewick.quant.candles.wide import join, split

Row = list[int]
# Gaps kept for late arrivals once they have left the hot state; an id lost beyond them counts as seen.
MAX_COLD_GAPS = 4096


def rescale_row(row: Row, price_scale: int, size_scale: int) -> None:
    """Bring a row to scales at or above its own, exactly."""
    prices = 10 ** (price_scale - row[R_PRICE_SCALE])
    sizes = 10 ** (size_scale - row[R_SIZE_SCALE])
    if prices == sizes == 1:
        return
    for k in range(R_VOLUME - 4, R_VOLUME):
        row[k] *= prices
    for k, factor in ((R_VOLUME, sizes), (R_TAKER, sizes), (R_QUOTE, prices * sizes)):
        row[k], row[k + 1] = split(join(row[k], row[k + 1]) * factor)
    row[R_PRICE_SCALE], row[R_SIZE_SCALE] = price_scale, size_scale


class Cold:
    """Entries as the runtime handed them over, with this step's changes on top."""

    def __init__(self, entries: Mapping[bytes, bytes | None], price_scale: int = 0, size_scale: int = 0) -> None:
        self._entries = entries
        self._blocks: dict[int, dict[int, Row]] = {}
        self._changed: set[int] = set()
        self.price_scale, self.size_scale = price_scale, size_scale
        self.written: dict[bytes, bytes | None] = {}

    def get(self, name: bytes) -> bytes | None:
        if name in self.written:
            return self.written[name]
        return self._entries.get(name)

    def append(self, minute: int, packed: bytes) -> None:
        """Packed records of candles that became final in a minute."""
        self._flush(minute)
        name = block_name(minute)
        self.written[name] = (self.get(name) or b"") + packed

    def block(self, minute: int) -> dict[int, Row]:
        """The final candles of a minute by their place in it, at the key's scales; changes count after ``revise``."""
        block = self._blocks.get(minute)
        if block is None:
            block = {}
            data = self.get(block_name(minute))
            for row in read_block(data, minute).tolist() if data else ():
                rescale_row(row, self.price_scale, self.size_scale)
                place = MINUTE_PLACE if row[R_TIMEFRAME] == 60 else (row[1] - minute) // SECOND
                block[place] = row
            self._blocks[minute] = block
        return block

    def revise(self, minute: int) -> None:
        """The block of a minute was changed in place."""
        self._changed.add(minute)

    def frame(self, frame: int, opens: int) -> Row | None:
        """A finished frame."""
        data = self.get(frame_name(frame, opens))
        if data is None:
            return None
        row: Row = np.frombuffer(data, np.int64).tolist()
        rescale_row(row, self.price_scale, self.size_scale)
        return row

    def put_frame(self, row: Words) -> None:
        """A frame that finished or was revised."""
        name = frame_name(FRAME_SECONDS.index(int(row[R_TIMEFRAME])), int(row[1]))
        self.written[name] = row.tobytes()

    def gaps(self) -> list[Row]:
        """Open gaps by id that lie in the cold entry: first id, last id, times before and after."""
        data = self.get(GAPS_NAME)
        rows: list[Row] = np.frombuffer(data, np.int64).reshape(-1, GAP).tolist() if data else []
        return rows

    def put_gaps(self, gaps: list[Row]) -> list[Row]:
        """Keep these gaps, at most MAX_COLD_GAPS of the newest; returns those kept."""
        kept = sorted(gaps)[-MAX_COLD_GAPS:]
        self.written[GAPS_NAME] = np.array(kept, np.int64).tobytes() if kept else None
        return kept

    def finish(self) -> dict[bytes, bytes | None]:
        """Every change of this step."""
        for minute in sorted(self._changed):
            self._flush(minute)
        return self.written

    def _flush(self, minute: int) -> None:
        block = self._blocks.pop(minute, None)
        if minute in self._changed and block is not None:
            self._changed.discard(minute)
            rows = np.array([block[place] for place in sorted(block)], np.int64).reshape(-1, ROW)
            self.written[block_name(minute)] = write_block(rows)


def minutes_between(first: int, last: int) -> range:
    """Open times of minutes from ``first`` to ``last``, both included."""
    return range(first, last + 1, MINUTE)
