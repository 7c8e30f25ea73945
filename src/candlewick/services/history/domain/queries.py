"""What a question to history may say, and what the replies hold."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from candlewick.contracts.timeframes import NAMES
from candlewick.kernel.clock import NS_PER_MS
from candlewick.ports.candles import SeriesInfo
from candlewick.ports.jobs import Job, JobState
from candlewick.services.history.domain.gaps import MINUTE_NS, Gap
from candlewick.services.history.errors import BadHistoryQuery

MOST_CANDLES = 50_000
DEFAULT_CANDLES = 500
MOST_GAPS = 5000
_LATEST_MS = 1 << 42


class GapView(msgspec.Struct, frozen=True):
    """One entry of the gap ledger; times are ms UTC."""

    id: str
    exchange: str
    symbol: str
    start: int
    end: int
    reason: str
    state: Literal["open", "repaired", "verified_empty", "lost"]
    trades_missing: int | None
    detected_at: int
    closed_at: int | None
    detail: str


class GapList(msgspec.Struct, frozen=True):
    """Entries of the gap ledger, newest first."""

    gaps: list[GapView]


class SeriesView(msgspec.Struct, frozen=True):
    """What is stored of one series; times are open times, ms UTC."""

    exchange: str
    symbol: str
    timeframe: str
    first: int
    last: int
    rows: int
    bytes: int


class SeriesList(msgspec.Struct, frozen=True):
    """Every stored series."""

    series: list[SeriesView]


class JobView(msgspec.Struct, frozen=True):
    """A job of this service; ``progress`` is 0..1."""

    id: str
    kind: str
    args: dict[str, Any]
    state: JobState
    progress: float
    note: str
    tries: int
    result: Any
    error: dict[str, str] | None


class JobList(msgspec.Struct, frozen=True):
    """Jobs of this service."""

    jobs: list[JobView]


class BackupView(msgspec.Struct, frozen=True):
    """One backup; ``made_at`` is ms UTC."""

    name: str
    made_at: int
    files: int
    rows: int
    bytes: int


class BackupList(msgspec.Struct, frozen=True):
    """Backups, oldest first."""

    backups: list[BackupView]


def gap_view(gap: Gap) -> GapView:
    return GapView(
        gap.id, gap.exchange, gap.symbol, gap.start_ns // NS_PER_MS, -(-gap.end_ns // NS_PER_MS), gap.reason,
        gap.state,  # type: ignore[arg-type]
        gap.trades_missing if gap.trades_missing >= 0 else None, gap.detected_at // NS_PER_MS,
        gap.closed_at // NS_PER_MS if gap.closed_at is not None else None, gap.detail,
    )  # fmt: skip


def series_view(info: SeriesInfo) -> SeriesView:
    name = NAMES.get(info.timeframe_s, f"{info.timeframe_s}s")
    first, last = info.first_ns // NS_PER_MS, info.last_ns // NS_PER_MS
    return SeriesView(info.exchange, info.symbol, name, first, last, info.rows, info.bytes)


def job_view(job: Job) -> JobView:
    error = dict(job.error) if job.error else None
    return JobView(job.id, job.kind, dict(job.args), job.state, job.progress, job.note, job.tries, job.result, error)


def instant_ns(name: str, text: str | None) -> int | None:
    """ms since the epoch or ISO 8601 (UTC unless it says otherwise), as ns. Raises BadHistoryQuery."""
    if text is None or text == "":
        return None
    try:
        if text.lstrip("-").isdigit():
            ms = int(text)
        else:
            at = datetime.fromisoformat(text)
            ms = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadHistoryQuery(f"{name} must be ms since 1970 or an ISO 8601 time, was {text!r}") from None
    if not 0 <= ms < _LATEST_MS:
        raise BadHistoryQuery(f"{name} must lie between 1970 and 2109, was {text!r}")
    return ms * NS_PER_MS


def window(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Both ends of a stretch of time in ns. Raises BadHistoryQuery when they are the wrong way round."""
    first, last = instant_ns("start", start), instant_ns("end", end)
    if first is not None and last is not None and last < first:
        raise BadHistoryQuery(f"end must not be before start, was {end!r}")
    return first, last


def minutes(start_ns: int, end_ns: int) -> tuple[int, int]:
    """The whole minutes inside [start, end)."""
    first = -(-start_ns // MINUTE_NS) * MINUTE_NS
    return first, max(first, end_ns // MINUTE_NS * MINUTE_NS)
