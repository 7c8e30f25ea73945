"""What is done from time to time: retention and folding; a backup when somebody asks for one."""

from collections.abc import Mapping
from typing import Any, Final

from candlewick.contracts.timeframes import NAMES
from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.jobs import JobContext
from candlewick.ports.runtime import Context
from candlewick.services.history.domain.gaps import MINUTE_S
from candlewick.services.history.settings import HistorySettings

BACKUP: Final = "history.backup"
_FIRST_AFTER_S: Final = 20.0
_EVERY_S: Final = 600.0
_HOUR_NS: Final = 3600 * NS_PER_SECOND
_DAY_NS: Final = 24 * _HOUR_NS


class Keeping:
    """One pass every ten minutes; a pass that fails is logged and the next one tries again."""

    def __init__(self, context: Context, settings: HistorySettings) -> None:
        self._context, self._settings = context, settings
        self._folded_day = -1

    async def watch(self) -> None:
        """Until cancelled."""
        await self._context.clock.sleep(_FIRST_AFTER_S)
        while True:
            try:
                await self.expire()
                await self.fold()
            except CandlewickError as error:
                self._context.logger.error("keeping house failed", code=error.code, detail=error.detail)
            await self._context.clock.sleep(_EVERY_S)

    async def expire(self) -> int:
        """Forget candles beyond their retention; returns how many. Time is the newest candle's where that is older than
        now, so that a replay of old days keeps what it builds."""
        now, gone = self._context.clock.now_ns(), 0
        newest: dict[int, int] = {}
        for info in await self._context.candles.series():
            newest[info.timeframe_s] = max(newest.get(info.timeframe_s, 0), info.last_ns)
        for seconds in sorted(newest.keys() & NAMES.keys()):
            keep_ns = (
                int(self._settings.seconds_hours * _HOUR_NS)
                if seconds < MINUTE_S
                else int(self._settings.candles_days * _DAY_NS)
            )
            if keep_ns:
                gone += await self._context.candles.drop_before(seconds, min(now, newest[seconds]) - keep_ns)
        return gone

    async def fold(self) -> int:
        """Once a day, and at the start: finished days into blobs."""
        now = self._context.clock.now_ns()
        day = now // _DAY_NS
        if day == self._folded_day:
            return 0
        moved = await self._context.candles.fold(now)
        self._folded_day = day
        return moved

    async def backup(self, job: JobContext, _args: Mapping[str, Any]) -> dict[str, Any]:
        """The job that a person asks for: {} -> {name, files, rows}."""
        info = await self._context.backups.make(job.report)
        self._context.logger.info("backup made", name=info.name, rows=info.candles, files=info.files)
        return {"name": info.name, "files": info.files, "rows": info.candles}
