"""A suspected hole counts missing trades, so it is said once, whatever is refused or killed on the way [14]."""

import asyncio

import pytest

from candlewick.contracts.collector import GapSuspected
from candlewick.contracts.topics import COLLECTOR_GAPS
from candlewick.kernel.errors import Retryable
from candlewick.kernel.system import SystemClock
from candlewick.services.collector.handlers.suspicions import Suspicions


class Logger:
    def warning(self, *_, **__):
        """Nobody reads it."""


class Messaging:
    """Units of work that commit, but for as many as ``refusals``."""

    def __init__(self, refusals=0):
        self.refusals, self.said = refusals, []

    async def unit_of_work(self, work):
        unit = Unit()
        result = await work(unit)
        if self.refusals:
            self.refusals -= 1
            raise Retryable("the database is away")
        self.said += unit.said
        return result


class Unit:
    def __init__(self):
        self.said = []

    def emit(self, topic, message, *, ts_event, cause=None):
        self.said.append((topic, message, ts_event))


def gap(first):
    return GapSuspected("binance", "BTC-USDT", first, first + 7, "missing_ids", first, first + 2, "3 trades missing")


@pytest.fixture
def made():
    def make(refusals=0):
        messaging = Messaging(refusals)
        return Suspicions(messaging, SystemClock(), Logger()), messaging

    return make


async def test_what_is_refused_is_said_later_in_order_and_once(made):
    suspicions, messaging = made(refusals=2)
    for first in (10, 20):
        suspicions.add(gap(first))
    await suspicions.said()
    await suspicions.said()
    assert messaging.said == [(COLLECTOR_GAPS.name, gap(first), first + 7) for first in (10, 20)]


async def test_what_comes_while_a_unit_commits_is_said_by_the_next(made):
    suspicions, messaging = made()
    suspicions.add(gap(10))
    unit = Unit()
    count = suspicions.emit(unit)
    suspicions.add(gap(20))
    suspicions.forget(count)
    await suspicions.said()
    assert [message for _, message, _ in unit.said] == [gap(10)]
    assert [message for _, message, _ in messaging.said] == [gap(20)]


async def test_a_unit_that_did_not_commit_leaves_them_waiting(made):
    suspicions, messaging = made()
    suspicions.add(gap(10))
    suspicions.emit(Unit())
    await suspicions.said()
    assert [message for _, message, _ in messaging.said] == [gap(10)]


async def test_a_live_feed_s_are_said_as_they_come(made):
    suspicions, messaging = made()
    running = asyncio.ensure_future(suspicions.run())
    for first in (10, 20, 30):
        suspicions.add(gap(first))
        async with asyncio.timeout(5):
            while not messaging.said or messaging.said[-1][1] != gap(first):
                await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(messaging.said) == 3
