"""Backups by the clock, for as long as a service runs."""

from typing import Any, Final

from candlewick.app.runtime.backups.archive import Archive
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError

_FIRST_AFTER_S: Final = 60.0
_LOOK_EVERY_S: Final = 600.0


async def watch(archive: Archive, clock: Clock, logger: Any, every_s: float) -> None:
    """Make a backup whenever the newest one is ``every_s`` old, by any process of the service; until cancelled. One
    that fails is logged and tried again at the next look."""
    await clock.sleep(_FIRST_AFTER_S)
    while True:
        try:
            made = await archive.due(every_s)
        except CandlewickError as error:
            logger.error("backup failed", code=error.code, detail=error.detail)
        else:
            if made is not None:
                info = made.info
                logger.info("backup made", name=info.name, rows=info.rows, candles=info.candles, files=info.files)
        await clock.sleep(min(_LOOK_EVERY_S, every_s))
