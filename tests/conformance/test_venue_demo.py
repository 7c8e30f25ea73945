"""The demo market on the venue's laws.

Most laws are shown by an exchange that does what the test says. The demo market is a fixed model: nobody can make it
trade, break or refuse. Those laws are strict expected failures here, and ``tests/unit/adapters/venues/demo``
holds the ones a model can keep on what it does by itself: its trades, halts, silences, lost ids and candles.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from candlewick.adapters.venues import venue
from candlewick.kernel.system import SystemClock
from candlewick.ports.venue import Venue
from candlewick.testing.clock import START_NS
from candlewick.testing.conformance.harness import laws
from candlewick.testing.conformance.venue import VenueConformance

NO_WIRE = "no wire: the demo market has neither frames nor connections nor an address that could be refused"
FIXED = "a fixed model: nobody can make the demo market trade"
REASONS = {
    "02": FIXED, "03": NO_WIRE, "04": FIXED, "05": FIXED, "06": NO_WIRE, "07": NO_WIRE, "08": FIXED, "09": FIXED,
    "10": NO_WIRE, "11": FIXED, "12": FIXED, "13": FIXED, "14": FIXED, "15": NO_WIRE, "16": NO_WIRE, "17": NO_WIRE,
    "18": NO_WIRE, "19": NO_WIRE, "20": FIXED,
}  # fmt: skip


class CannotBeTold(Exception):
    """The exchange was asked to do something."""


class QuietMorning(SystemClock):
    """Time that runs as it does, from a moment without silence or halt."""

    def __init__(self) -> None:
        self._shift = START_NS - super().monotonic_ns()

    def now_ns(self) -> int:
        return self.monotonic_ns() + self._shift


class FixedExchange:
    """The other side, which does what it does."""

    symbols = ("BTC-USDT", "ADA-USDT")
    now_ns = START_NS

    def __getattr__(self, name: str) -> Any:
        def refuse(*_: object, **__: object) -> NoReturn:
            raise CannotBeTold(name)

        return refuse


class DemoHarness:
    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.exchange = FixedExchange()
        self._venues: list[Venue] = []

    async def handle(self) -> Venue:
        self._venues.append(venue("demo", clock=QuietMorning(), spool=self.scratch))
        return self._venues[-1]

    async def kill(self) -> None:
        """A venue keeps nothing that a kill could take."""

    async def close(self) -> None:
        for one in self._venues:
            await one.close()


class TestDemo(VenueConformance):
    @pytest.fixture
    async def harness(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DemoHarness]:
        reason = REASONS.get(request.function.__name__.split("_")[1])
        if reason is not None:
            request.applymarker(pytest.mark.xfail(strict=True, raises=CannotBeTold, reason=reason))
        made = DemoHarness(tmp_path)
        yield made
        await made.close()


def test_every_reason_is_of_a_law() -> None:
    assert set(REASONS) < {name.split("_")[1] for name in laws(VenueConformance)}
