"""Pages of candles as CSV and Arrow, and indicator series over them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlewick.contracts.base import ORIGIN_NAMES
from candlewick.quant.indicators import registry
from candlewick.quant.indicators.spec import BoundIndicator
from candlewick.quant.windows.symbol import Rows
from candlewick.services.market.api.schemas import SeriesLine
from candlewick.services.market.handlers.market import Market
from candlewick.services.market.handlers.pages import Page

_FINAL, _GAPPED = 1, 2
_NUMBERS = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
_COLUMNS = ("open_time", *_NUMBERS, "trades", "final", "revision", "origin", "quality")


def _joined(rows: Rows, open_rows: Rows | None) -> Rows:
    if open_rows is None:
        return rows
    return {name: np.concatenate([array, open_rows[name]]) for name, array in rows.items()}


def csv(rows: Rows, open_rows: Rows | None) -> bytes:
    """A header line and one line a candle; numbers in shortest round-trip form, ``trades`` empty when not known."""
    joined = _joined(rows, open_rows)
    out = io.StringIO()
    out.write(",".join(_COLUMNS) + "\n")
    for i in range(len(joined["open"])):
        flags, trades = int(joined["flags"][i]), int(joined["trades"][i])
        cells = [str(int(joined["open_time_ms"][i])), *[repr(float(joined[n][i])) for n in _NUMBERS]]
        cells += ["" if trades < 0 else str(trades), "true" if flags & _FINAL else "false"]
        cells += [str(int(joined["revision"][i])), ORIGIN_NAMES[int(joined["origin"][i])]]
        cells.append("gapped" if flags & _GAPPED else "ok")
        out.write(",".join(cells) + "\n")
    return out.getvalue().encode()


def arrow(rows: Rows, open_rows: Rows | None) -> bytes:
    """An Arrow IPC stream of one record batch with the columns of the CSV."""
    import pyarrow as pa

    joined = _joined(rows, open_rows)
    flags, trades = joined["flags"], joined["trades"]
    columns: dict[str, Any] = {"open_time": pa.array(joined["open_time_ms"], pa.timestamp("ms", "UTC"))}
    columns.update({name: pa.array(joined[name]) for name in _NUMBERS})
    columns["trades"] = pa.array(trades, mask=trades < 0)
    columns["final"] = pa.array((flags & _FINAL).astype(bool))
    columns["revision"] = pa.array(joined["revision"])
    columns["origin"] = pa.array([ORIGIN_NAMES[int(o)] for o in joined["origin"]])
    columns["quality"] = pa.array(np.where(flags & _GAPPED, "gapped", "ok").tolist())
    batch = pa.RecordBatch.from_pydict(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


@dataclass(frozen=True, slots=True)
class _Candles:
    open_time: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


async def indicator_series(
    market: Market, page: Page, bound: Sequence[BoundIndicator]
) -> tuple[list[int], list[SeriesLine]]:
    """Open times of the page and every output over it; enough candles before it are loaded for warm-up."""
    found = await market.page(page)
    rows = _joined(found.rows, found.open_rows)
    times = rows["open_time_ms"]
    if len(times) == 0:
        return [], [_line(b, o.name, np.empty(0)) for b in bound for o in b.spec.outputs]
    interval_ms = page.seconds * 1000
    first_ms = min(b.history_from(int(times[0]), interval_ms) for b in bound)
    warm_up = min((int(times[0]) - first_ms) // interval_ms, 10_000)
    if warm_up > 0:
        before = Page(page.exchange, page.symbol, page.seconds, None, int(times[0]), warm_up, page.as_of)
        older = (await market.page(before)).rows
        rows = {name: np.concatenate([older[name], array]) for name, array in rows.items()}
    candles, kept = _with_breaks(rows, interval_ms)
    lines = []
    for one in bound:
        values = registry.compute(one, candles)
        lines += [_line(one, o.name, values[o.name][kept][-len(times) :], o.line) for o in one.spec.outputs]
    return times.tolist(), lines


def _with_breaks(rows: Rows, interval_ms: int) -> tuple[_Candles, NDArray[np.int64]]:
    """The candles with one row of NaN at every hole, so that indicators start anew, and the places of the real rows."""
    times = rows["open_time_ms"]
    holes = np.flatnonzero(np.diff(times) > interval_ms) + 1
    kept = np.arange(len(times)) + np.searchsorted(holes, np.arange(len(times)), side="right")
    spread = {name: np.insert(rows[name], holes, np.nan) for name in ("open", "high", "low", "close", "volume")}
    return _Candles(open_time=np.insert(times, holes, times[holes] - interval_ms), **spread), kept


def _line(bound: BoundIndicator, output: str, values: NDArray[np.float64], line: Any = "line") -> SeriesLine:
    listed = [None if isnan(v) else v for v in values.tolist()]
    numbers = " ".join(bound.key.split(":")[1:])
    name = f"{bound.spec.name.upper() if len(bound.spec.name) < 5 else bound.spec.title} {numbers}".strip()
    return SeriesLine(
        bound.key, name, bound.spec.pane, output, line, listed, bound.lookbacks[output], list(bound.spec.levels)
    )
