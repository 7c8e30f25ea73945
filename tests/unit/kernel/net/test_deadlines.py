"""The deadline that holds for what is being worked on, the retry budget, and what a breaker learns from whom."""

import asyncio

import pytest

from candlewick.kernel.net import deadline as deadlines
from candlewick.kernel.net.breaker import BreakerState, CircuitBreaker, CircuitOpen
from candlewick.kernel.net.deadline import Deadline
from candlewick.kernel.net.retries import RetryBudget
from candlewick.testing.clock import VirtualClock


async def test_the_sooner_deadline_holds():
    clock = VirtualClock()
    assert deadlines.current() is None
    with deadlines.within(Deadline(clock, 2)) as outer:
        with deadlines.within(Deadline(clock, 5)) as inner:
            assert inner is outer is deadlines.current()
            assert deadlines.sooner(Deadline(clock, 3)) is outer
            await clock.advance(0.5)
            assert deadlines.sooner(short := Deadline(clock, 1)) is short
        with deadlines.within(Deadline(clock, 0.1)) as short:
            assert deadlines.current() is short
        assert deadlines.current() is outer
        assert outer.remaining_s() == pytest.approx(1.5)
    assert deadlines.current() is None


async def test_what_is_begun_without_a_deadline_keeps_none():
    with deadlines.within(Deadline(VirtualClock(), 2)):
        with deadlines.without():
            apart = asyncio.create_task(_seen())
        part = asyncio.create_task(_seen())
    assert await apart is None
    assert await part is not None


async def _seen():
    return deadlines.current()


def test_retries_are_a_tenth_of_the_calls_after_a_first_burst():
    budget = RetryBudget(share=0.1, reserve=10)
    assert sum(budget.take() for _ in range(50)) == 10
    retried = 0
    for _ in range(1000):
        budget.called()
        retried += budget.take()
    assert retried == 100
    for _ in range(1000):
        budget.called()
    assert sum(budget.take() for _ in range(50)) == 10, "calm times save up no more than the reserve"


@pytest.mark.parametrize("bad", [{"share": -0.1}, {"share": 1.1}, {"reserve": 0.5}])
def test_a_budget_has_sound_numbers(bad):
    with pytest.raises(ValueError, match="was"):
        RetryBudget(**bad)


def opened(clock, failures=2):
    breaker = CircuitBreaker(clock, failures=failures, open_s=1, open_cap_s=8)
    for _ in range(failures):
        breaker.check()
        breaker.failed()
    assert breaker.state is BreakerState.OPEN
    return breaker


async def test_what_fails_late_does_not_prolong_the_pause():
    clock = VirtualClock()
    breaker = opened(clock)
    for _ in range(20):
        breaker.failed()
    assert breaker.wait_s() == pytest.approx(1)


async def test_an_abandoned_trial_leaves_room_for_the_next():
    clock = VirtualClock()
    breaker = opened(clock)
    await clock.advance(1)
    breaker.check()
    with pytest.raises(CircuitOpen):
        breaker.check()
    breaker.abandoned()
    breaker.check()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED


async def test_a_sign_of_life_ends_the_pause_but_one_trial_still_decides():
    clock = VirtualClock()
    breaker = opened(clock)
    await clock.advance(1)
    breaker.check()
    breaker.failed()
    assert breaker.wait_s() == pytest.approx(2)
    breaker.look_again()
    assert breaker.state is BreakerState.HALF_OPEN
    breaker.check()
    with pytest.raises(CircuitOpen):
        breaker.check()
    breaker.failed()
    assert breaker.state is BreakerState.OPEN
    closed = CircuitBreaker(clock)
    closed.look_again()
    assert closed.state is BreakerState.CLOSED
