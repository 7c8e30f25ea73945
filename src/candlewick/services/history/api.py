"""Routes of the history service."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Response

from candlewick.contracts import codec
from candlewick.contracts.stream import CandleBatch
from candlewick.contracts.timeframes import SECONDS, seconds_of
from candlewick.kernel.openapi import problem, reply
from candlewick.ports.backups import BackupInfo
from candlewick.ports.jobs import JobState
from candlewick.ports.runtime import Context
from candlewick.services.history.domain import gaps, quality, queries, rows
from candlewick.services.history.errors import BadHistoryQuery, UnknownSeries
from candlewick.services.history.handlers.keeping import BACKUP
from candlewick.services.history.handlers.storing import Storing, log_positions
from candlewick.services.history.ports import GapQuery, Ledger

CANDLES_TYPE = "application/vnd.candlewick.candles"
POSITIONS_HEADER = "x-log-positions"
SCHEMAS: tuple[type[msgspec.Struct], ...] = (
    queries.GapList, queries.SeriesList, queries.JobView, queries.JobList, queries.BackupList, quality.Quality,
)  # fmt: skip
Name = Annotated[str, Path(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9._-]+$")]
Timeframe = Annotated[str, Path(json_schema_extra={"enum": list(SECONDS)})]
Instant = Annotated[str | None, Query(max_length=40, description="ms since 1970, or ISO 8601.")]
Ns = Annotated[int | None, Query(ge=0, lt=1 << 62)]
_DAY_NS = 86_400 * 10**9
_CANDLES: dict[str, Any] = {
    "response_model": None,
    "response_class": Response,
    "responses": {
        200: {
            "description": "A CandleBatch in protobuf; x-log-positions says which log positions it includes.",
            "content": {CANDLES_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
        **{code: problem(code) for code in (422, 503)},
    },
}
_encode = msgspec.json.Encoder().encode


def _positions(marks: Mapping[str, int]) -> dict[str, str]:
    return {POSITIONS_HEADER: _encode(log_positions(marks)).decode()}


def _json(body: Any, status: int = 200) -> Response:
    return Response(_encode(body), status, media_type="application/json")


def new_router(
    context: Context, ledger: Ledger, storing: Storing, submit: Callable[[str], Awaitable[Any]]
) -> APIRouter:
    """All routes at their public paths."""
    router = APIRouter()

    @router.get("/history/candles/{exchange}/{symbol}/{timeframe}", tags=["history"], **_CANDLES)
    async def get_stored_candles(
        exchange: Name,
        symbol: Name,
        timeframe: Timeframe,
        start_ns: Ns = None,
        end_ns: Ns = None,
        before_ns: Ns = None,
        as_of_ns: Ns = None,
        limit: Annotated[int, Query(ge=1, le=queries.MOST_CANDLES)] = queries.DEFAULT_CANDLES,
    ) -> Response:
        """Stored candles, oldest first: from start_ns the oldest, else the newest (before before_ns); as_of_ns gives
        what was known then. The row that stands is given, one an open time."""
        seconds, store = seconds_of(timeframe), context.candles
        # positions first: rows that come between the two reads are then told of again, never lost
        marks = await store.marks()
        if start_ns is None and as_of_ns is None:
            ends = [end for end in (before_ns, end_ns) if end is not None]
            columns = await store.last(exchange, symbol, seconds, limit, before_ns=min(ends, default=None))
        else:
            last = min(end for end in (before_ns, end_ns, 1 << 62) if end is not None)
            first = start_ns if start_ns is not None else max(0, last - limit * seconds * 10**9)
            if start_ns is None and last == 1 << 62:
                first = 0
            if last < first:
                raise BadHistoryQuery(f"end_ns must not be before start_ns, was {last!r}")
            most = limit if start_ns is not None else None
            columns = await store.range(exchange, symbol, seconds, first, last, as_of_ns=as_of_ns, limit=most)
            if start_ns is None and len(columns.open_time) > limit:
                columns = rows.picked(columns, slice(len(columns.open_time) - limit, None))
        body = codec.encode(CandleBatch(exchange, symbol, columns))
        return Response(body, media_type=CANDLES_TYPE, headers=_positions(marks))

    @router.get(
        "/history/series", tags=["history"],
        **reply(queries.SeriesList, "Every stored series; x-log-positions as for candles.", errors=(503,)),
    )  # fmt: skip
    async def get_series() -> Response:
        """What is stored."""
        marks = await context.candles.marks()
        body = queries.SeriesList([queries.series_view(info) for info in await context.candles.series()])
        return Response(_encode(body), media_type="application/json", headers=_positions(marks))

    @router.get("/gaps", tags=["quality"], **reply(queries.GapList, "Entries of the gap ledger."))
    async def get_gaps(
        exchange: Annotated[str | None, Query(max_length=40)] = None,
        symbol: Annotated[str | None, Query(max_length=40)] = None,
        start: Instant = None,
        end: Instant = None,
        state: Literal["open", "closed", "all"] = "all",
        limit: Annotated[int, Query(ge=1, le=queries.MOST_GAPS)] = 500,
    ) -> Response:
        """Holes in the data and what became of them, newest first."""
        first, last = queries.window(start, end)
        states = {"open": (gaps.OPEN,), "closed": tuple(s for s in gaps.STATES if s != gaps.OPEN), "all": None}[state]
        async with context.database.reading() as tx:
            found = await ledger.find(tx, GapQuery(exchange, symbol, first, last, states, limit))
        return _json(queries.GapList([queries.gap_view(gap) for gap in found]))

    @router.get(
        "/quality/{exchange}/{symbol}", tags=["quality"], **reply(quality.Quality, "Counts.", errors=(404, 422, 503))
    )
    async def get_quality(exchange: Name, symbol: Name, start: Instant = None, end: Instant = None) -> Response:
        """How whole the 1m candles are; without start the newest 24 hours that are stored."""
        first, last = queries.window(start, end)
        newest = await context.candles.last(exchange, symbol, gaps.MINUTE_S, 1)
        if not len(newest.open_time):
            raise UnknownSeries(f"no 1m candles of {exchange} are stored, was {symbol!r}")
        last = int(newest.open_time[0]) + gaps.MINUTE_NS if last is None else last
        first, last = queries.minutes(max(0, last - _DAY_NS) if first is None else first, last)
        oldest = await context.candles.range(exchange, symbol, gaps.MINUTE_S, first, last)
        if start is None and len(oldest.open_time):
            first = int(oldest.open_time[0])
        async with context.database.reading() as tx:
            found = await ledger.find(tx, GapQuery(exchange, symbol, first, last, limit=queries.MOST_GAPS))
        again = storing.repeated_of.get((exchange, symbol), 0)
        return _json(quality.quality(oldest, first, last, found, again))

    @router.get("/jobs", tags=["jobs"], **reply(queries.JobList, "Jobs."))
    async def get_jobs(
        kind: Annotated[str | None, Query(max_length=60)] = None,
        state: JobState | None = None,
    ) -> Response:
        """Fetches, repairs and backups."""
        return _json(
            queries.JobList([queries.job_view(job) for job in await context.jobs.list(kind=kind, state=state)])
        )

    @router.get("/jobs/{job_id}", tags=["jobs"], **reply(queries.JobView, "The job.", errors=(404, 422, 503)))
    async def get_job(job_id: Annotated[str, Path(max_length=60)]) -> Response:
        """One job."""
        return _json(queries.job_view(await context.jobs.get(job_id)))

    @router.post(
        "/jobs/{job_id}/cancel", tags=["jobs"], **reply(queries.JobView, "The job.", errors=(404, 422, 503, 507))
    )
    async def cancel_job(job_id: Annotated[str, Path(max_length=60)]) -> Response:
        """Ask a job to stop; it does at its next report."""
        return _json(queries.job_view(await context.jobs.cancel(job_id)))

    @router.get("/history/backups", tags=["history"], **reply(queries.BackupList, "Backups.", errors=(503,)))
    async def get_backups() -> Response:
        """The backups kept, oldest first."""
        return _json(queries.BackupList([_backup(each) for each in await context.backups.kept()]))

    @router.post(
        "/history/backups", tags=["history"],
        **reply(queries.JobView, "The job.", status=202, errors=(503, 507)),
    )  # fmt: skip
    async def start_backup() -> Response:
        """Make a backup now; one that is running already is not started twice."""
        return _json(queries.job_view(await submit(BACKUP)), 202)

    return router


def _backup(info: BackupInfo) -> queries.BackupView:
    return queries.BackupView(info.name, info.made_at // 1_000_000, info.files, info.candles, info.size)
