"""The thread that owns a database file."""

import asyncio

from candlewick.adapters._sqlite.thread import SqliteThread


async def test_a_file_that_is_opened_again_while_it_closes_does_both(tmp_path):
    """A task that still asks while the service stops must not take the closing thread's end for its own."""
    thread = SqliteThread(tmp_path / "a.db")
    await thread.open()
    for _ in range(20):
        closing = asyncio.ensure_future(thread.close())
        await asyncio.sleep(0)
        await thread.open()
        async with asyncio.timeout(5):
            await closing
        assert thread.is_open
        assert await thread.read(lambda c: c.execute("SELECT 1").fetchone()) == (1,)
    await thread.close()
    assert not thread.is_open
