"""What a venue says anew of followed symbols is kept and told, once, by one process for all."""

import asyncio

import pytest

from candlewick.contracts import control
from candlewick.contracts.market import SymbolUpdated
from candlewick.ports.venue import VenueForbidden, VenueNonsense, VenueUnavailable
from candlewick.services.market.errors import ListingUnknown
from tests.unit.services.market.listing_house import HOUR_S, FakeVenue, instrument, listing_house

SYMBOLS = "market.symbols"
BTC, ETH = instrument("BTC-USDT"), instrument("ETH-USDT")


@pytest.fixture
async def house(tmp_path):
    async with listing_house(tmp_path) as house:
        await house.follow(BTC, ETH)
        yield house


@pytest.mark.parametrize(
    "new",
    [
        instrument("BTC-USDT", tick="0.001", scale=3),
        instrument("BTC-USDT", tick="0.1", scale=1),
        instrument("BTC-USDT", status="break"),
        instrument("BTC-USDT", venue_symbol="XBTUSDT"),
    ],
    ids=["finer", "coarser", "halted", "renamed"],
)
async def test_what_differs_is_kept_and_told_once(house, new):
    venue, process = FakeVenue(new, ETH, instrument("SOL-USDT")), house.process()
    for _ in range(3):
        await process.look(venue)
        house.clock.jump(HOUR_S)
    assert venue.asked == 3
    assert await house.followed() == [new, ETH], "and no other symbol is followed because of it"
    assert house.messages(SYMBOLS) == [SymbolUpdated(new)]
    control.validate(SymbolUpdated(new))


async def test_a_symbol_that_is_no_longer_listed_is_removed_stays_followed_and_may_come_back(house):
    venue, process = FakeVenue(ETH), house.process()
    for _ in range(2):
        await process.look(venue)
        house.clock.jump(HOUR_S)
    gone = instrument("BTC-USDT", status="removed")
    assert await house.followed() == [gone, ETH]
    assert house.messages(SYMBOLS) == [SymbolUpdated(gone)]
    venue.listed = [BTC, ETH]
    await process.look(venue)
    assert await house.followed() == [BTC, ETH]
    assert house.messages(SYMBOLS) == [SymbolUpdated(BTC)]


async def test_one_process_asks_for_all(house):
    venue = FakeVenue(instrument("BTC-USDT", scale=3), ETH)
    waits_ns = await asyncio.gather(*(house.process().look(venue) for _ in range(5)))
    assert venue.asked == 1
    assert len(house.messages(SYMBOLS)) == 1
    assert all(0 < wait <= HOUR_S * 1e9 for wait in waits_ns)
    house.clock.jump(HOUR_S - 1)
    await house.process().look(venue)
    assert venue.asked == 1
    house.clock.jump(1)
    await house.process().look(venue)
    assert venue.asked == 2


async def test_a_turn_whose_process_died_goes_to_another_after_a_minute(house):
    venue, late = FakeVenue(instrument("BTC-USDT", scale=7), ETH), house.process()
    venue.gate.clear()
    hanging = asyncio.ensure_future(late.look(venue))
    while not venue.asked:
        await asyncio.sleep(0.001)
    venue.listed = [instrument("BTC-USDT", scale=3), ETH]
    house.clock.jump(59)
    await house.process().look(venue)
    assert venue.asked == 1
    house.clock.jump(1)
    other = asyncio.ensure_future(house.process().look(venue))
    while venue.asked < 2:
        await asyncio.sleep(0.001)
    venue.gate.set()
    await asyncio.gather(hanging, other)
    assert [m.instrument.price_scale for m in house.messages(SYMBOLS)] == [3], "what the late one heard is not kept"


async def test_a_turn_that_a_wrong_clock_planned_is_taken(house):
    venue, process = FakeVenue(BTC, ETH), house.process()
    house.clock.jump(365 * 86_400)
    await process.look(venue)
    house.clock.jump(-365 * 86_400)
    await process.look(venue)
    assert venue.asked == 2


@pytest.mark.parametrize(
    "error", [VenueUnavailable("nobody there"), VenueForbidden("not from here"), VenueNonsense("what is this")], ids=str
)
async def test_a_venue_that_does_not_answer_is_told_once_and_asked_again(house, error):
    venue = FakeVenue(instrument("BTC-USDT", scale=3), ETH)
    venue.error = error
    watching = asyncio.ensure_future(house.process().watch(venue))
    await house.pass_time(600)
    assert 5 <= venue.asked <= 11
    assert [code for _, code in house.logger.said] == [error.code]
    assert (await house.followed(), house.told) == ([BTC, ETH], [])
    venue.error = None
    await house.pass_time(120)
    assert [m.instrument.price_scale for m in house.messages(SYMBOLS)] == [3]
    assert len(house.logger.said) == 2, "and once that it is over"
    asked = venue.asked
    await house.pass_time(HOUR_S)
    assert venue.asked in (asked, asked + 1), "from then on at the usual pace"
    watching.cancel()


async def test_a_venue_that_lists_nothing_is_not_believed(house):
    with pytest.raises(VenueNonsense):
        await house.process().look(FakeVenue())
    assert (await house.followed(), house.told) == ([BTC, ETH], [])


async def test_row_and_word_are_one(house):
    venue, new = FakeVenue(instrument("BTC-USDT", scale=3), ETH), instrument("BTC-USDT", scale=3)
    house.killed = 1
    with pytest.raises(RuntimeError):
        await house.process().look(venue)
    assert (await house.followed(), house.told) == ([BTC, ETH], [])
    house.clock.jump(60)
    await house.process().look(venue)
    assert (await house.followed(), house.messages(SYMBOLS)) == ([new, ETH], [SymbolUpdated(new)])


async def test_what_is_listed_is_a_minute_old_at_most_and_asked_for_once(house):
    venue = FakeVenue(BTC, ETH)
    one, other = house.process(), house.process()
    assert await one.listed(venue) == [BTC, ETH]
    venue.listed = [BTC, ETH, instrument("SOL-USDT")]
    house.clock.jump(59)
    assert await other.listed(venue) == [BTC, ETH]
    assert venue.asked == 1
    house.clock.jump(1)
    assert len(await other.listed(venue)) == 3
    assert len(await one.listed(venue)) == 3
    assert venue.asked == 2
    house.clock.jump(HOUR_S - 1)
    await one.look(venue)
    assert venue.asked == 2, "who looks because somebody asked need not look again so soon"


async def test_while_the_venue_is_away_what_it_last_listed_is_told_and_it_is_not_pressed(house):
    venue, process = FakeVenue(BTC, ETH), house.process()
    venue.error = VenueUnavailable("nobody there")
    for _ in range(3):
        with pytest.raises(ListingUnknown):
            await process.listed(venue)
    assert venue.asked == 1
    venue.error = None
    house.clock.jump(60)
    assert await process.listed(venue) == [BTC, ETH]
    venue.error = VenueForbidden("not from here")
    house.clock.jump(60)
    for _ in range(3):
        assert await process.listed(venue) == [BTC, ETH]
    assert venue.asked == 3
