"""The gap ledger: opened, asked again, closed."""

import json

import numpy as np
import pytest

from candlewick.contracts.base import Origin
from candlewick.contracts.collector import GapSuspected
from candlewick.contracts.history import CandlesFetched, CandlesRepaired, GapClosed, GapOpened
from candlewick.contracts.stream import FINAL, GAPPED
from candlewick.ports.venue import UnknownSymbol, VenueUnavailable
from tests.unit.services.history.house import MINUTE, FakeVenue, rows


def now_minute(h, back):
    return h.resources.clock.now_ns() // MINUTE * MINUTE - back * MINUTE


async def suspect(h, start, end, *, reason="missing_ids", first=10, last=12):
    await h.send(
        "collector.gaps", GapSuspected("fake", "BTC-USDT", start, end, reason, first, last, "trades are missing"),
        producer="collector",
    )  # fmt: skip


async def entries(h, **query):
    _, _, body = await h.get("/gaps", **query)
    return json.loads(body)["gaps"]


async def closed(h):
    async def look():
        found = await entries(h)
        return found if found and all(gap["state"] != "open" for gap in found) else None

    return await h.until(look)


@pytest.mark.slow
async def test_a_suspected_gap_is_repaired_and_says_so(house):
    async with house(repair="true") as h:
        at = now_minute(h, 5)
        await h.candles(rows([at - MINUTE, at, at + MINUTE], flags=[FINAL, FINAL | GAPPED, FINAL]))
        await suspect(h, at + 10 * 10**9, at + 20 * 10**9)
        (gap,) = await closed(h)
        assert (gap["state"], gap["reason"], gap["trades_missing"]) == ("repaired", "missing_ids", 3)
        assert gap["closed_at"] >= gap["detected_at"]
        found = await h.stored()
        assert found.revision.tolist() == [0, 1, 0]
        assert found.origin.tolist() == [Origin.BUILT, Origin.REPAIRED, Origin.BUILT]
        assert found.close.tolist() == [101, 201, 101]
        assert found.flags[1] == FINAL
        repaired = [m for m in await h.messages("history.candles") if isinstance(m, CandlesRepaired)]
        assert {m.gap_id for m in repaired} == {gap["id"]}
        told = await h.messages("history.gaps")
        assert [type(m) for m in told if m.gap_id == gap["id"]][-1] is GapClosed
        assert any(isinstance(m, GapOpened) for m in told)


@pytest.mark.slow
async def test_every_closed_candle_that_the_gap_touches_is_asked_again(house):
    async with house(repair="true") as h:
        at = now_minute(h, 30) // (15 * MINUTE) * 15 * MINUTE
        await suspect(h, at, at + MINUTE)
        await closed(h)
        for timeframe in ("1m", "3m", "5m", "15m"):

            async def is_repaired(timeframe=timeframe):
                return (await h.stored(timeframe)).origin.tolist() == [Origin.REPAIRED]

            await h.until(is_repaired)


@pytest.mark.slow
async def test_a_minute_joined_late_is_repaired_when_the_venue_has_closed_it(house):
    async with house(repair="true") as h:
        at = now_minute(h, 3)
        await h.candles(rows([at, at + MINUTE], flags=[FINAL | GAPPED, FINAL]))
        (gap,) = await closed(h)
        assert (gap["reason"], gap["state"]) == ("joined_late", "repaired")
        assert (await h.stored()).flags.tolist() == [FINAL, FINAL]


async def test_a_minute_is_in_the_ledger_once_however_often_it_is_delivered(house):
    async with house() as h:
        at = now_minute(h, 3)
        await h.candles(rows([at], flags=[FINAL | GAPPED]))
        h.service._storing._seam.forget()
        await h.candles(rows([at], flags=[FINAL | GAPPED]))
        assert len(await entries(h)) == 1


async def followed(h):
    """BTC-USDT is, and history knows."""
    await h.follow()

    async def is_known():
        return ("fake", "BTC-USDT") in h.service._gaps.followed

    await h.until(is_known)


async def test_minutes_that_do_not_come_are_a_gap_of_a_followed_symbol_only(house):
    async with house() as h:
        at = now_minute(h, 20)
        await followed(h)
        for symbol in ("BTC-USDT", "ETH-USDT"):
            await h.candles(rows([at, at + 4 * MINUTE]), symbol)
        (gap,) = await entries(h, state="open")
        assert (gap["symbol"], gap["start"], gap["end"]) == (
            "BTC-USDT", (at + MINUTE) // 10**6, (at + 4 * MINUTE) // 10**6,
        )  # fmt: skip


async def test_minutes_between_the_fetch_and_the_first_live_second_do_not_wait_for_the_minute_to_close(house):
    async with house(repair="true") as h:
        at = now_minute(h, 3)
        await followed(h)
        await h.candles(rows([at]))
        h.service._storing._seam.forget()  # as after a start: what is stored was fetched
        second = rows([at + 2 * MINUTE + 7 * 10**9], seconds=1)
        await h.candles(second)
        (gap,) = await closed(h)
        assert (gap["reason"], gap["state"]) == ("downtime", "repaired")
        assert (gap["start"], gap["end"]) == ((at + MINUTE) // 10**6, (at + 2 * MINUTE) // 10**6)
        assert (await h.stored()).open_time.tolist() == [at, at + MINUTE]
        await h.candles(rows([at + 2 * MINUTE], flags=[FINAL | GAPPED]))
        assert [gap["reason"] for gap in await entries(h)] == ["joined_late", "downtime"]


async def test_the_first_live_second_of_the_next_minute_is_no_gap(house):
    async with house() as h:
        at = now_minute(h, 3)
        await followed(h)
        await h.candles(rows([at + MINUTE], seconds=1))  # nothing is stored yet: the first fetch will tell
        await h.candles(rows([at]))
        h.service._storing._seam.forget()
        await h.candles(rows([at + 60 * MINUTE], seconds=1))  # an hour of nothing is a fetch that has not come yet
        await h.candles(rows([at + MINUTE + 5 * 10**9], seconds=1))
        assert await entries(h) == []


async def test_overlapping_suspicions_are_one_entry_with_the_most_telling_reason(house):
    async with house() as h:
        at = now_minute(h, 10)
        await suspect(h, at, at + MINUTE, reason="silence", first=-1, last=-1)
        await suspect(h, at + MINUTE // 2, at + 2 * MINUTE, reason="missing_ids", first=5, last=9)

        async def both():
            found = await entries(h)
            return found if found and found[0]["trades_missing"] == 5 else None

        (gap,) = await h.until(both)
        assert (gap["start"], gap["end"], gap["reason"]) == (at // 10**6, (at + 2 * MINUTE) // 10**6, "missing_ids")


async def test_a_halt_is_verified_empty_once_the_venue_serves_what_follows(house):
    async with house(repair="true") as h:
        at = now_minute(h, 10)
        h.venue.halts = [(at, at + 2 * MINUTE)]
        await suspect(h, at, at + 2 * MINUTE, reason="venue_halt", first=-1, last=-1)
        (gap,) = await closed(h)
        assert gap["state"] == "verified_empty"
        assert gap["trades_missing"] is None
        assert "2 minutes" in gap["detail"]


async def test_nothing_is_published_when_the_venue_agrees(house):
    async with house(repair="true") as h:
        at = now_minute(h, 10)
        await h.candles(rows([at], price=200, volume=7))
        await suspect(h, at, at + MINUTE, reason="silence", first=-1, last=-1)
        (gap,) = await closed(h)
        assert gap["state"] == "verified_empty"
        assert (await h.stored()).revision.tolist() == [0]


@pytest.mark.slow
async def test_a_venue_that_does_not_answer_costs_only_time(house):
    async with house(repair="true", repair_tries="2") as h:
        at = now_minute(h, 10)
        h.venue.error = VenueUnavailable("no answer")
        await suspect(h, at, at + MINUTE)
        await h.resources.clock.sleep(2.5)
        (gap,) = await entries(h)
        assert gap["state"] == "open"
        h.venue.error = None
        (gap,) = await closed(h)
        assert gap["state"] == "repaired"


@pytest.mark.slow
async def test_a_gap_is_lost_when_the_venue_cannot_give_it_and_found_when_it_can(house):
    async with house(repair="true", repair_tries="1", lost_again_hours="0.0003") as h:
        at = now_minute(h, 10)
        h.venue.error = UnknownSymbol("no such symbol")
        await suspect(h, at, at + MINUTE)

        async def state(wanted):
            return [gap for gap in await entries(h) if gap["state"] == wanted]

        await h.until(lambda: state("lost"))
        h.venue.error = None
        await h.until(lambda: state("repaired"))
        told = [m.outcome for m in await h.messages("history.gaps") if isinstance(m, GapClosed)]
        assert told == ["lost", "repaired"]


async def test_a_candle_that_is_not_closed_is_never_asked_for(house):
    async with house(repair="true") as h:
        h.venue.now_ns = now_minute(h, 120) // (60 * MINUTE) * 60 * MINUTE + 7 * MINUTE + 1
        at = h.venue.now_ns // MINUTE * MINUTE
        await suspect(h, at - MINUTE, at)
        await closed(h)
        # the hour stays in the ledger's list until it closes
        async with h.service._context.database.reading() as tx:
            left = await tx.fetch("SELECT timeframe_s FROM pending ORDER BY timeframe_s")
        assert 3600 in [seconds for (seconds,) in left]
        assert 60 not in [seconds for (seconds,) in left]


@pytest.mark.slow
async def test_no_venue_is_asked_while_a_recording_is_replayed(house):
    async with house(repair="true", fetch="true", mode="replay") as h:
        at = now_minute(h, 10)
        await suspect(h, at, at + MINUTE)
        await h.follow()
        await h.resources.clock.sleep(1.5)
        assert h.venue.asked == []
        assert [gap["state"] for gap in await entries(h)] == ["open"]


@pytest.mark.parametrize("simulated", [False, True])
async def test_the_first_fetch_fills_the_chart_and_leaves_no_seam(house, tmp_path, simulated):
    from candlewick.kernel.system import SystemClock

    venue = FakeVenue(SystemClock(), simulated=simulated)
    async with house(fetch="true", fetch_minutes="90", fetch_candles="20", venue=venue) as h:
        await h.follow()

        async def done():
            _, _, body = await h.get("/jobs")
            jobs = [job for job in json.loads(body)["jobs"] if job["state"] == "done"]
            return len(jobs) == 2 and jobs

        jobs = await h.until(done)
        assert sum(job["result"]["fetched"] for job in jobs) >= 90 + 20 * 7 + 10
        await h.service.caught_up()
        minutes = await h.stored(limit=5000)
        assert len(minutes.open_time) >= 90
        assert (np.diff(minutes.open_time) == MINUTE).all()
        assert minutes.open_time[-1] >= now_minute(h, 2)
        expected = Origin.SIMULATED if simulated else Origin.FETCHED
        assert set(minutes.origin.tolist()) == {expected}
        assert venue.asked[0][0] == "1m"
        for timeframe in ("5m", "1h", "1d", "1w"):
            assert len((await h.stored(timeframe)).open_time) == 20, timeframe


@pytest.mark.slow
async def test_a_downtime_is_ledgered_and_filled_at_the_next_start(house):
    from candlewick.kernel.system import SystemClock

    clock = SystemClock()
    venue = FakeVenue(clock)
    venue.now_ns = clock.now_ns() // MINUTE * MINUTE - 60 * MINUTE + 1

    async def fetched(h):
        _, _, body = await h.get("/jobs", kind="history.fetch")
        return all(job["state"] == "done" for job in json.loads(body)["jobs"]) and json.loads(body)["jobs"]

    async with house(fetch="true", fetch_minutes="30", fetch_candles="0", venue=venue) as h:
        await h.follow()
        await h.until(lambda: fetched(h))
    venue.now_ns += 20 * MINUTE
    async with house(fetch="true", repair="true", fetch_minutes="30", fetch_candles="0", venue=venue) as h:
        (gap,) = await closed(h)
        assert (gap["reason"], gap["state"]) == ("downtime", "repaired")
        assert (gap["end"] - gap["start"]) * 10**6 == 20 * MINUTE
        minutes = await h.stored(limit=100)
        assert len(minutes.open_time) == 50
        assert set(minutes.origin.tolist()) == {Origin.FETCHED}
        assert all(
            isinstance(m, CandlesFetched)
            for m in await h.messages("history.candles")
            if len(m.columns_v1.open_time) == 20
        )
