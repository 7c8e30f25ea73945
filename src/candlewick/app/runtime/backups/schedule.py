"""Backups by the clock, for as long as a service runs."""

from contextlib import suppress
from typing import Any, Final

from candlewick.app.runtime.backups.archive import Archive
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.kernel.errors import CandlewickError
from candlewick.kernel.metrics import Metrics

_FIRST_AFTER_S: Final = 60.0
_LOOK_EVERY_S: Final = 600.0


async def watch(archive: Archive, clock: Clock, logger: Any, metrics: Metrics, every_s: float) -> None:
    """Make a backup whenever the newest one is ``every_s`` old, by any process of the service; until cancelled. One
    that fails is logged and tried again at the next look. The age in the metrics grows on, whatever hangs or fails."""
    begun_ns = clock.now_ns()

    def tell() -> None:
        since = archive.newest_ns if archive.newest_ns is not None else begun_ns
        metrics.gauge("backup_age_seconds", max(0, clock.now_ns() - since) / NS_PER_SECOND, archive.service)
        metrics.gauge("backup_interval_seconds", every_s, archive.service)

    tell_no_more = metrics.before_export(tell)
    try:
        with suppress(CandlewickError):  # it is asked for again when one is due
            await archive.manifests()
        await clock.sleep(_FIRST_AFTER_S)
        while True:
            await _look(archive, logger, every_s)
            await clock.sleep(min(_LOOK_EVERY_S, every_s))
    finally:
        tell_no_more()


async def _look(archive: Archive, logger: Any, every_s: float) -> None:
    try:
        made = await archive.due(every_s)
    except CandlewickError as error:
        logger.error("backup failed", code=error.code, detail=error.detail)
    else:
        if made is not None:
            info = made.info
            logger.info("backup made", name=info.name, rows=info.rows, candles=info.candles, files=info.files)
