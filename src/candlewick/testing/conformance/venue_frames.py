"""Laws of the frames: kept before they are understood, and understood alike whenever and however they are parsed."""

from candlewick.contracts.collector import GapSuspected, Progress
from candlewick.testing.binance.sink import KeepingSink
from candlewick.testing.conformance.venue_harness import VenueHarness, live_feed, parsed, recorded, until


class FrameLaws:
    """Laws 3, 17 and 18."""

    async def test_03_frames_come_first(self, harness: VenueHarness) -> None:
        venue, instruments, frames = await recorded(harness)
        sink = parsed(venue.parser(instruments), frames, 1)
        assert len(sink.trades()) == 78
        async with live_feed(harness) as live:
            symbol = live.exchange.symbols[0]
            before = len(live.sink.frames)
            live.exchange.trade(symbol, "100", "1")
            await until(live.ids, "the trade arrives")
            assert len(live.sink.frames) > before
            again = parsed(venue.parser(instruments), live.sink.frames, 1)
            assert again.trades() == live.sink.trades()

    async def test_17_many_frames_at_once(self, harness: VenueHarness) -> None:
        venue, instruments, frames = await recorded(harness)
        one = KeepingSink()
        parser = venue.parser(instruments)
        for ts_recv, raw in frames:
            parser.parse(ts_recv, raw, one)
        parser.finish(frames[-1][0], one)
        for size in (7, 40, 100_000):
            many = parsed(venue.parser(instruments), frames, size)
            assert many.trades() == one.trades()
            assert many.of(GapSuspected) == one.of(GapSuspected)
            assert many.of(Progress) == one.of(Progress)

    async def test_18_checkpoints(self, harness: VenueHarness) -> None:
        venue, instruments, frames = await recorded(harness)
        whole = parsed(venue.parser(instruments), frames, 10)
        parts = KeepingSink()
        parser = venue.parser(instruments)
        for start in range(0, len(frames), 10):
            block = frames[start : start + 10]
            parser.parse_many(block, parts)
            parser.flush(block[-1][0], parts)
            saved = parser.checkpoint()
            parser = venue.parser([])
            parser.restore(saved)
        parser.finish(frames[-1][0], parts)
        assert parts.trades() == whole.trades()
        assert parts.of(GapSuspected) == whole.of(GapSuspected)
        assert parts.of(Progress) == whole.of(Progress)
