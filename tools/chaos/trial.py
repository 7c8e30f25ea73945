"""One run: the input flows, faults come, what is left is compared."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tools.chaos import facts as facts_
from tools.chaos.differences import Difference, counted, differences, placed
from tools.chaos.disk import Disk
from tools.chaos.faults import Stage, Trial
from tools.chaos.ground import HOME, Ground
from tools.chaos.links import Links
from tools.chaos.mutants import MUTANTS
from tools.chaos.product import Product, launcher
from tools.chaos.recording import SYMBOLS, write
from tools.chaos.schedule import Fault, chosen, faults, missing
from tools.chaos.subscribers import Subscriber
from tools.chaos.watching import GIVE_UP_S, Recovery, Watch

_SETTLED_S, _STUCK_S, _LOOK_S = 3.0, 90.0, 0.5
_AHEAD_S = 90.0
#: Every symbol's seconds, by which recovery is measured, and minutes of all.
_SERIES = tuple((symbol, timeframe) for timeframe in ("1s", "1m") for symbol in SYMBOLS)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is asked for. ``most`` faults at the most, without a bound when None."""

    seed: int
    minutes: float
    speed: float
    only: str | None = None
    mutant: str | None = None
    most: int | None = None


@dataclass
class Outcome:
    """What a run found. ``missing`` are kinds of fault that did not come; ``skipped`` why a kind cannot come here."""

    plan: Plan
    recoveries: list[Recovery] = field(default_factory=list)
    found: list[Difference] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    breaks: int = 0
    trades: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether the faults left no trace, and each was got over."""
        lasting = any(one.seconds is None for one in self.recoveries)
        return not (self.found or self.missing or self.troubles or lasting)


class Run:
    """Begin to end, on servers that are there."""

    def __init__(self, plan: Plan, ground: Ground, say: Say) -> None:
        self._plan, self._ground, self._say = plan, ground, say
        self._folder = HOME / "run"
        self._begun = 0.0

    async def outcome(self) -> Outcome:
        """Raises Trouble when the product does not come up at all."""
        outcome = Outcome(self._plan)
        folder = self._folder
        disk = Disk(folder / "data")
        disk.unmount()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        disk.mount()
        recording = folder / "recording.gz"
        # It begins to flow before the last service is ready, and must not end before the last fault.
        seconds = self._plan.minutes * 60 + _AHEAD_S
        outcome.trades = write(recording, self._plan.seed, seconds * self._plan.speed)
        self._say(f"input: {outcome.trades} trades of {', '.join(SYMBOLS)}, played at {self._plan.speed:g}x")
        links = Links(self._ground.addresses()["toxiproxy"], self._ground.links())
        prefix = f"chaos{self._plan.seed % 10**8}x{time.monotonic_ns() % 10**6}."  # a role has 41 letters at most
        product = Product(folder, self._ground, links, prefix, launcher(self._plan.mutant), recording)
        expected = asyncio.ensure_future(facts_.oracle(recording, folder / "oracle"))
        subscribers = [Subscriber(product.port, *series) for series in _SERIES]
        listening: list[asyncio.Task[None]] = []
        try:
            await expected
            await product.start(f"{self._plan.speed:g}")
            listening = [asyncio.create_task(one.run()) for one in subscribers]
            await self._faults(outcome, Stage(self._ground, links, product, disk), subscribers)
            await self._drain(outcome, product, subscribers)
            await self._stop(outcome, product)
        finally:
            expected.cancel()
            for task in listening:
                task.cancel()
            await asyncio.gather(expected, *listening, return_exceptions=True)
            product.kill()
            disk.free()
            with contextlib.suppress(OSError):
                links.drop_all()
            disk.unmount()
        await self._compare(outcome, prefix, expected.result(), subscribers)
        await facts_.wipe(self._ground.addresses(), prefix)
        return outcome

    async def _stop(self, outcome: Outcome, product: Product) -> None:
        status = await product.stop()
        if status:
            outcome.troubles.append(f"the product ended with {status}: {product.tail(3)}")

    # -- faults -------------------------------------------------------------------------------------------------------

    async def _faults(self, outcome: Outcome, stage: Stage, subscribers: list[Subscriber]) -> None:
        kinds = chosen(self._plan.only)
        if stage.disk.why_not and kinds.pop("fill-disk", ()):
            outcome.skipped["fill-disk"] = stage.disk.why_not
            self._say(f"fill-disk is left out: {stage.disk.why_not}")
        watch = Watch(stage.product, [one for one in subscribers if one.timeframe == "1s"])
        self._begun = begun = time.monotonic()
        if await watch.well(begun) is None:
            outcome.troubles.append(f"no candle reached every subscriber within {GIVE_UP_S:g} s")
            return
        done: list[Fault] = []
        for fault in faults(self._plan.seed, kinds):
            left = self._plan.minutes * 60 - (time.monotonic() - begun)
            if left < 0 or (self._plan.most is not None and len(done) >= self._plan.most):
                break
            outcome.recoveries.append(await self._one(fault, stage, watch))
            done.append(fault)
            if outcome.recoveries[-1].seconds is None:
                break  # nothing that comes behind it can be told from it
            await stage.ground.whole()
            await asyncio.sleep(fault.calm)
        outcome.missing = missing(done, kinds) if self._plan.most is None else []

    async def _one(self, fault: Fault, stage: Stage, watch: Watch) -> Recovery:
        at, first = time.monotonic() - self._begun, watch.newest()
        trial = Trial(fault, stage)
        start = time.monotonic()
        await trial.run()
        seconds = await watch.well(trial.since)
        recovery = Recovery(fault, at, seconds, watch.silence(start), first, watch.newest())
        lasting = f"NOT well again within {GIVE_UP_S:g} s ({watch.why})"
        told = f"well again in {seconds:5.1f} s" if seconds is not None else lasting
        self._say(f"{at:6.1f} s  {fault.name:<48} {told}, {recovery.silence:.1f} s without candles")
        return recovery

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _drain(self, outcome: Outcome, product: Product, subscribers: list[Subscriber]) -> None:
        """What is left of the input is played as fast as it goes, until nothing moves any more."""
        if not (await product.facts("collector")).get("played"):
            self._say("playing what is left of the input ...")
            await self._stop(outcome, product)
            await product.start("max")
        seen, since = None, time.monotonic()
        while time.monotonic() - since < _STUCK_S:
            stream, history = await asyncio.gather(product.facts("stream"), product.facts("history"))
            played = (await product.facts("collector")).get("played")
            at = (played, stream.get("messages"), stream.get("lag"), history.get("candles_stored"),
                  tuple(len(one.finals) for one in subscribers))  # fmt: skip
            if at != seen:
                seen, since = at, time.monotonic()
            elif played and stream.get("lag") == 0 and time.monotonic() - since > _SETTLED_S:
                return
            await asyncio.sleep(_LOOK_S)
        outcome.troubles.append(f"the input is not worked off, and for {_STUCK_S:g} s nothing has moved: {seen}")

    async def _compare(
        self, outcome: Outcome, prefix: str, expected: facts_.Facts, subscribers: list[Subscriber]
    ) -> None:
        self._say("comparing ...")
        found = await facts_.cluster(self._ground.addresses(), prefix)
        outcome.found = [placed(one, outcome.recoveries) for one in differences(found, expected, subscribers)]
        outcome.compared = counted(expected, found, subscribers)
        outcome.breaks = sum(one.breaks for one in subscribers)


def plan_of(name: str, seed: int, speed: float) -> Plan:
    """The short run that is known to show a mutant."""
    mutant = MUTANTS[name]
    return Plan(seed, minutes=1.0, speed=speed, only=mutant.only, mutant=name, most=mutant.faults)


def folder_of_runs() -> Path:
    """Where the last run's logs lie."""
    return HOME / "run"
