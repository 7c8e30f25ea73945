"""``python -m tools.chaos.oracle RECORDING FOLDER``: one process on files plays the recording at full speed and ends
when nothing is left to do; ``candlewick replay`` does not wait for the gap ledger."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.app import kernels
from candlewick.app import session as sessions
from candlewick.app.cli.replay import SERVICES, finished
from candlewick.app.configuration import read
from candlewick.app.profiles.embedded import EmbeddedResources
from candlewick.app.runtime.host import running
from candlewick.contracts.topics import COLLECTOR_GAPS
from candlewick.kernel import logging
from candlewick.ports.log import EventLog, Position

_LOOK_S = 0.1


async def play(recording: Path, folder: Path) -> None:
    """Raises what a service raises that fails."""
    session = sessions.replay([recording], "max")
    config = read(data_dir=folder, profile=session.profile(), environ={})
    logging.configure("warning", config.app.log_format)
    kernels.warm(session.exchange)
    resources = EmbeddedResources(config.data_dir, config.app, mode=session.mode)
    async with running(SERVICES, config, resources, member="replay") as host:
        await finished(host)
        outboxes = [SqliteDatabase(folder / name / f"{name}.db") for name in ("collector", "history")]
        for outbox in outboxes:
            await outbox.open()
        try:
            while not await _is_done(resources.log, outboxes):
                await resources.clock.sleep(_LOOK_S)
        finally:
            for outbox in outboxes:
                await outbox.close()


async def _is_done(log: EventLog, databases: Sequence[SqliteDatabase]) -> bool:
    """Nothing stands in an outbox, and history has taken every suspicion."""
    for database in databases:
        async with database.reading() as tx:
            if await tx.fetch("SELECT 1 FROM outbox LIMIT 1"):
                return False
    consumer = await log.consumer([COLLECTOR_GAPS.name], group=None, member="oracle")
    ends = dict(await consumer.end_positions())
    await consumer.close()
    async with databases[-1].reading() as tx:
        rows = await tx.fetch("SELECT topic, part, epoch, log_offset FROM inbox_position")
    known = {(str(topic), int(part)): Position(int(epoch), int(offset)) for topic, part, epoch, offset in rows}
    return all(place in known and known[place] >= end for place, end in ends.items())


if __name__ == "__main__":
    asyncio.run(play(Path(sys.argv[1]), Path(sys.argv[2])))
