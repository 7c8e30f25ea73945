"""Back-off, breaker, budget and deadline on a clock that moves by hand."""

import asyncio

import pytest

from candlewick.kernel.clock import NS_PER_SECOND
from candlewick.kernel.net.backoff import Backoff
from candlewick.kernel.net.breaker import BreakerState, CircuitBreaker, CircuitOpen
from candlewick.kernel.net.budget import RateBudget
from candlewick.kernel.net.deadline import Deadline, DeadlineExceeded


class HandClock:
    def __init__(self) -> None:
        self.now = 1_700_000_000 * NS_PER_SECOND

    def now_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += int(seconds * NS_PER_SECOND)

    async def sleep(self, seconds: float) -> None:
        self.move(max(seconds, 0))
        await asyncio.sleep(0)


def test_backoff_doubles_to_the_cap_with_full_jitter() -> None:
    b = Backoff(1.0, 10.0, lambda: 1.0)
    assert [b.next_s() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    b.reset()
    assert b.next_s() == 1
    assert Backoff(1.0, 10.0, lambda: 0.0).next_s() == 0
    with pytest.raises(ValueError, match="was 0"):
        Backoff(0, 1, lambda: 0.5)


def test_backoff_never_overflows() -> None:
    b = Backoff(1.0, 30.0, lambda: 1.0)
    b.attempts = 10_000
    assert b.next_s() == 30


def test_breaker_opens_tries_once_and_closes() -> None:
    clock = HandClock()
    b = CircuitBreaker(clock, failures=2, open_s=10, open_cap_s=15)
    b.check()
    b.failed()
    b.check()
    b.failed()
    assert b.state is BreakerState.OPEN
    with pytest.raises(CircuitOpen) as error:
        b.check()
    assert error.value.retry_after_s == pytest.approx(10)
    clock.move(10)
    assert b.state is BreakerState.HALF_OPEN
    b.check()
    with pytest.raises(CircuitOpen):
        b.check()
    b.failed()
    assert b.wait_s() == pytest.approx(15)
    clock.move(15)
    b.check()
    b.succeeded()
    assert b.state is BreakerState.CLOSED
    b.check()


async def test_budget_waits_for_the_next_window() -> None:
    clock = HandClock()
    clock.now = clock.now // (60 * NS_PER_SECOND) * 60 * NS_PER_SECOND + 50 * NS_PER_SECOND
    budget = RateBudget(clock, limit=100)
    start = clock.now
    await budget.spend(80)
    assert clock.now == start
    await budget.spend(30)
    assert clock.now == start + 10 * NS_PER_SECOND
    assert budget.used() == 30
    budget.observe(99)
    budget.observe(5)
    assert budget.used() == 99


async def test_budget_takes_one_request_larger_than_its_limit() -> None:
    budget = RateBudget(HandClock(), limit=100)
    await budget.spend(250)
    assert budget.used() == 250


async def test_budget_serves_waiters_in_order_and_keeps_silence() -> None:
    clock = HandClock()
    budget = RateBudget(clock, limit=10)
    budget.silence(120)
    budget.silence(5)
    assert budget.silent_s() == pytest.approx(120)
    order: list[int] = []

    async def one(i: int) -> None:
        await budget.spend(10)
        order.append(i)

    await asyncio.gather(*(one(i) for i in range(4)))
    assert order == [0, 1, 2, 3]


def test_deadline() -> None:
    clock = HandClock()
    d = Deadline(clock, 2.0)
    d.check("it")
    clock.move(1.5)
    assert d.remaining_s() == pytest.approx(0.5)
    clock.move(1)
    assert d.is_over()
    with pytest.raises(DeadlineExceeded, match=r"it took longer than 2\.0 s"):
        d.check("it")
