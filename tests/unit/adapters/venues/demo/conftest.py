"""The model, a clock and a venue for the tests of this folder."""

import pytest

from candlewick.adapters import venues
from candlewick.quant.market_model.model import MarketModel
from candlewick.testing.clock import VirtualClock
from tests.unit.adapters.venues.demo.market import (
    START,
)


@pytest.fixture(scope="module")
def model():
    return MarketModel()


@pytest.fixture
def clock():
    return VirtualClock(START)


@pytest.fixture
async def venue(clock):
    made = venues.venue("demo", clock=clock, random=None, spool=None, rest_url="", stream_url="")
    await made.open()
    yield made
    await made.close()
