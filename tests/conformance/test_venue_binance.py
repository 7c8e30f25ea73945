"""Binance keeps the laws of a venue over real sockets, and each law's test sees its planted fault."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from candlewick.adapters.venues import venue
from candlewick.adapters.venues._connection.dialect import Limits
from candlewick.kernel.system import SystemClock
from candlewick.ports.venue import Venue
from candlewick.testing.binance.bench import BenchExchange
from candlewick.testing.binance.server import FakeBinance
from candlewick.testing.conformance.harness import Fault, laws, must_see
from candlewick.testing.conformance.venue import VenueConformance
from candlewick.testing.faults.venue import FAULTS

LIMITS = Limits(
    silence_s=0.4, requests_a_second=100.0, linger_s=0.002, watch_s=0.02, backoff_s=0.02, backoff_cap_s=0.1,
    answer_timeout_s=0.5, snapshot_retry_s=0.02,
)  # fmt: skip
PARSER = {"progress_ns": 50_000_000, "margin_ns": 20_000_000, "book_ns": 0, "quote_ns": 0}


class BinanceHarness:
    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._fake = FakeBinance(SystemClock(), kline_s=0.05)
        self.exchange = BenchExchange(self._fake)
        self._venues: list[Venue] = []

    async def handle(self) -> Venue:
        if not self._fake.url:
            await self._fake.start()
        url, stream = self._fake.url, self._fake.stream_url
        spool = self.scratch / f"spool-{len(self._venues)}"
        self._venues.append(
            venue("binance", rest_url=url, stream_url=stream, spool=spool, limits=LIMITS, backoff_s=0.01,
                  parser_options=PARSER)
        )  # fmt: skip
        return self._venues[-1]

    async def kill(self) -> None:
        """A venue keeps nothing that a kill could take, its spool apart."""

    async def close(self) -> None:
        for one in self._venues:
            await one.close()
        await self._fake.stop()


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[BinanceHarness]:
    made = BinanceHarness(tmp_path)
    yield made
    await made.close()


class TestBinance(VenueConformance):
    @pytest.fixture
    def harness(self, harness: BinanceHarness) -> BinanceHarness:
        return harness


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_the_law_sees_its_fault(fault: Fault, harness: BinanceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candlewick.testing.conformance.venue_harness.PATIENCE_S", 1.0)
    await must_see(VenueConformance, fault, harness)


def test_every_law_has_a_fault() -> None:
    assert {fault.law for fault in FAULTS} == laws(VenueConformance)
