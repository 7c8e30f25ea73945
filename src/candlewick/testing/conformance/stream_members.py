"""Laws of members: they share partitions, hand them over, die, come back, and cannot speak for what was taken away."""

import threading
from collections.abc import Callable
from random import Random

from candlewick.testing.conformance.log_harness import law
from candlewick.testing.conformance.stream_harness import (
    DEAD,
    LATEST,
    OUTPUT,
    Running,
    StreamHarness,
    answers,
    counted,
    mixed,
    until,
    within,
)

SYMBOLS = [f"S{i}-USDT" for i in range(12)]


class MemberLaws:
    """Every test takes a fresh harness."""

    @law(10, 14)
    async def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(self, harness: StreamHarness) -> None:
        """Positions, state and outputs are one: a member killed at each of its steps goes on as if nothing was."""
        random = Random(7)
        said = 1
        for step in harness.steps:
            await harness.write(mixed(SYMBOLS[:4], said, said + 6))
            said += 6
            bomb = _Bomb(step, random.randint(1, 3), harness.killed)
            one = await harness.start(on_step=bomb)
            await until(lambda bomb=bomb: bomb.burst, f"{step} was met")  # type: ignore[misc]
            await harness.crash(one.runtime)
            if random.random() < 0.5:
                await harness.lose_disk("a")
        await _ends_well(harness, said, SYMBOLS[:4])

    @law(12)
    async def test_members_share_partitions_and_hand_them_over_without_losing_count(
        self, harness: StreamHarness
    ) -> None:
        """A newcomer takes its share, one that leaves gives it back, under load."""
        members = [await harness.start("a")]
        said = 1
        for turn in range(30):
            await harness.write(mixed(SYMBOLS, said, said + 1))
            said += 1
            if turn == 6:
                members.append(await harness.start("b"))
            if turn == 12:
                before = members[1].runtime.stats().messages
                while members[1].runtime.stats().messages == before:
                    await harness.write(mixed(SYMBOLS, said, said + 1))
                    said += 1
                    await members[0].caught_up()
        await members[1].caught_up()
        await until(
            # The other one's figures come a little after its commit.
            lambda: sum(member.runtime.stats().messages for member in members) >= (said - 1) * len(SYMBOLS),
            "both have counted",
        )
        shares = [member.runtime.stats().messages for member in members]
        await members[0].runtime.stop()
        await harness.write(mixed(SYMBOLS, said, said + 1))
        said += 1
        await members[1].caught_up()
        await members[1].runtime.stop()
        assert min(shares) > 0, f"both work, was {shares}"
        assert sum(shares) == (said - 2) * len(SYMBOLS), f"each message is counted once, was {shares}"
        assert [member.failures for member in members] == [[], []]
        await _ends_well(harness, said, SYMBOLS)

    @law()
    async def test_a_leaving_member_is_followed_at_once(self, harness: StreamHarness) -> None:
        """``stop`` gives the partitions up; nobody waits for a time-out."""
        await harness.write(mixed(SYMBOLS, 1, 3))
        members = await _two_at_work(harness)
        await members[0].runtime.stop()
        await harness.write(mixed(SYMBOLS, 1000, 1001))
        await within(harness.member_timeout_s / 2, members[1].caught_up(), "to follow a member that left")
        await members[1].runtime.stop()

    @law(12)
    async def test_a_killed_members_partitions_move_on(self, harness: StreamHarness) -> None:
        """It never comes back: after the time-out the others do its work, from where it was."""
        await harness.write(mixed(SYMBOLS, 1, 3))
        members = await _two_at_work(harness)
        await harness.crash(members[0].runtime)
        said = 2000
        await harness.write(mixed(SYMBOLS, said, said + 1))
        await members[1].caught_up()
        await members[1].runtime.stop()
        assert members[1].failures == []
        found = answers(await harness.written(OUTPUT))
        assert all(rows[-1][1] == said for rows in found.values())
        _assert_counts(found)

    @law()
    async def test_a_restarted_member_has_its_partitions_at_once(self, harness: StreamHarness) -> None:
        """The same name after a kill, in the middle of a commit: no time-out is waited for, not even its own."""
        await harness.write(mixed(SYMBOLS, 1, 3))
        keeper, one = await _two_at_work(harness)
        await harness.crash(one.runtime)
        one = await harness.start("b")
        await harness.write(mixed(SYMBOLS, 3000, 3001))
        await within(harness.member_timeout_s * 2 / 3, one.caught_up(), "to come back to its own place")
        for member in (keeper, one):
            assert member.failures == []
            await member.runtime.stop()
        _assert_counts(answers(await harness.written(OUTPUT)))

    @law(12, 14)
    async def test_a_member_paused_past_its_time_commits_nothing_and_goes_on(self, harness: StreamHarness) -> None:
        """A zombie: others have its partitions and do its work; what it still had in hand never becomes true."""
        pause = _Pause("submitting")
        await harness.write(mixed(SYMBOLS, 1, 3))
        zombie = await harness.start("a", on_step=pause)
        await zombie.caught_up()
        pause.arm()
        await harness.write(mixed(SYMBOLS, 3, 5))
        await until(lambda: pause.is_paused, "it is paused inside a commit")
        other = await harness.start("b")
        await other.caught_up()
        said = 5
        pause.release()
        for _ in range(6):
            await harness.write(mixed(SYMBOLS, said, said + 1))
            said += 1
            await other.caught_up()
        assert zombie.failures == []
        await other.runtime.stop()
        await harness.write(mixed(SYMBOLS, said, said + 1))
        said += 1
        await zombie.caught_up()
        await zombie.runtime.stop()
        assert other.failures == []
        await _ends_well(harness, said, SYMBOLS)


class _Bomb:
    """Ends the engine when a step is met for the n-th time."""

    def __init__(self, step: str, count: int, killed: type[BaseException]) -> None:
        self.step, self.left, self.killed = step, count, killed
        self.burst = False

    def __call__(self, step: str) -> None:
        if self.burst:
            raise self.killed
        if step == self.step:
            self.left -= 1
            if self.left == 0:
                self.burst = True
                raise self.killed


class _Pause:
    """Holds the engine's thread at a step, as a stopped process would be."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.is_paused = False
        self._armed = False
        self._go = threading.Event()

    def arm(self) -> None:
        self._armed = True

    def release(self) -> None:
        self._go.set()

    def __call__(self, step: str) -> None:
        if self._armed and step == self.step and not self._go.is_set():
            self.is_paused = True
            self._go.wait(120)
            self.is_paused = False


async def _two_at_work(harness: StreamHarness) -> list[Running]:
    """Two members that both have partitions, with everything done; keys go on from 10."""
    members = [await harness.start("a"), await harness.start("b")]
    said = 10
    both: Callable[[], bool] = lambda: all(member.runtime.stats().messages > 0 for member in members)  # noqa: E731
    while not both():
        assert said < 500, "both members have partitions"
        await harness.write(mixed(SYMBOLS, said, said + 1))
        said += 1
        await members[0].caught_up()
    await members[1].caught_up()
    return members


def _assert_counts(found: dict[str, list[tuple[int, int]]]) -> None:
    assert set(found) == set(SYMBOLS)
    for symbol, rows in found.items():
        counts = [n for n, _ in rows]
        assert counts == [n for n in range(1, len(counts) // 2 + 1) for _ in range(2)], f"{symbol}: {counts}"


async def _ends_well(harness: StreamHarness, said: int, symbols: list[str]) -> None:
    """A last member finds nothing lost and nothing doubled; keys have said 1 to ``said - 1``."""
    last = await harness.start("last")
    await last.caught_up()
    await last.runtime.stop()
    assert last.failures == []
    assert await harness.written(DEAD) == []
    assert answers(await harness.written(OUTPUT)) == {symbol: counted(range(1, said)) for symbol in symbols}
    assert all(rows == sorted(rows) for rows in answers(await harness.written(LATEST)).values())
