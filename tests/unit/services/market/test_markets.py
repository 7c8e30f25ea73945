"""What is newly known of a whole market is told when it changed, and not otherwise."""

import pytest

from candlewick.contracts import control
from candlewick.contracts.market import MarketUpdated
from candlewick.services.market.domain.listing import news
from tests.unit.services.market.listing_house import HOUR_S, FakeVenue, instrument, listing_house

MARKETS = "market.markets"
BTC, ETH, SOL = instrument("BTC-USDT"), instrument("ETH-USDT"), instrument("SOL-USDT")
HALT = instrument("ETH-USDT", status="break")


def word(listed, trading, *, added=(), removed=(), status="open"):
    return MarketUpdated("fake", status, listed, trading, added, removed)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, [BTC, HALT], word(2, 1)),
        ([BTC, ETH], [ETH, BTC], None),
        ([BTC, ETH], [instrument("BTC-USDT", scale=4), ETH], None),
        ([BTC, ETH], [BTC, HALT], word(2, 1)),
        ([BTC, ETH], [BTC, SOL], word(2, 2, added=("SOL-USDT",), removed=("ETH-USDT",))),
        ([ETH], [HALT], word(1, 0, status="halted")),
        ([HALT], [HALT], None),
        ([HALT], [ETH], word(1, 1)),
    ],
    ids=["first", "same", "a tick", "a halt", "listed", "halted", "still halted", "open again"],
)
def test_only_a_change_is_news(before, now, told):
    assert news("fake", before, now) == told
    if told is not None:
        control.validate(told)


def test_at_most_a_hundred_are_named_and_all_are_counted():
    many = [instrument(f"S{n:04}-USDT") for n in range(3000)]
    said = news("fake", [BTC], [*many, BTC])
    assert (said.listed, said.trading, len(said.added)) == (3001, 3001, 100)
    control.validate(said)


async def test_every_look_tells_what_changed_since_the_last_one(tmp_path):
    async with listing_house(tmp_path) as house:
        venue = FakeVenue(BTC, ETH)

        async def after_look():
            await house.process().look(venue)
            house.clock.jump(HOUR_S)
            return house.messages(MARKETS)

        assert await after_look() == [word(2, 2)]
        assert await after_look() == []
        venue.listed = [BTC, SOL]
        assert await after_look() == [word(2, 2, added=("SOL-USDT",), removed=("ETH-USDT",))]
        venue.listed = [instrument("BTC-USDT", status="break"), instrument("SOL-USDT", status="break")]
        assert await after_look() == [word(2, 0, status="halted")]
        house.killed = 1
        venue.listed = [BTC, SOL]
        with pytest.raises(RuntimeError):
            await house.process().look(venue)
        house.clock.jump(60)
        assert await after_look() == [word(2, 2)], "a word that was not committed is said by the next"


async def test_a_log_that_has_not_heard_of_it_is_told(tmp_path):
    async with listing_house(tmp_path) as house:
        process = house.process()
        await process.announce("fake")
        assert house.messages(MARKETS) == [], "nobody knows anything"
        await process.look(FakeVenue(BTC, HALT))
        house.messages(MARKETS)
        await process.announce("fake")
        assert house.messages(MARKETS) == [word(2, 1)]
