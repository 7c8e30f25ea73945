"""How far recordings were played: the collector's only table."""

from candlewick.ports.runtime import UnitOfWork
from candlewick.services.collector.ports import Saved


class SqlPlaybackTable:
    """ports.PlaybackTable on the service's database."""

    async def load(self, tx: UnitOfWork, recording: str) -> Saved | None:
        row = await tx.fetch_one(
            "SELECT file, line, parser, done FROM playbacks WHERE recording = :recording", {"recording": recording}
        )
        return None if row is None else Saved(row[0], row[1], bytes(row[2]), bool(row[3]))

    async def save(self, tx: UnitOfWork, recording: str, saved: Saved) -> None:
        await tx.execute(
            "INSERT INTO playbacks (recording, file, line, parser, done) "
            "VALUES (:recording, :file, :line, :parser, :done) ON CONFLICT (recording) DO UPDATE SET "
            "file = excluded.file, line = excluded.line, parser = excluded.parser, done = excluded.done",
            {
                "recording": recording,
                "file": saved.file,
                "line": saved.line,
                "parser": saved.parser,
                "done": int(saved.done),
            },
        )
