"""What a run found, for people and as JSON."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from tools.chaos.differences import WHERE, Difference
from tools.chaos.schedule import GOAL, GOALS
from tools.chaos.trial import Outcome

LISTED: Final = 20


def lines(outcome: Outcome) -> Iterator[str]:
    """The tables and the verdict."""
    yield f"\n{'fault':<14}{'times':>6}{'median':>10}{'worst':>9}{'silence':>9}{'goal':>8}"
    for kind, row in by_kind(outcome).items():
        shown = "".join(f"{row[name]:>{width}.1f}" for name, width in (("median", 10), ("worst", 9), ("silence", 9)))
        yield f"{kind:<14}{row['times']:>6}{shown}{row['goal']:>8.0f}  s"
    for kind, why in outcome.skipped.items():
        yield f"{kind:<14}  left out: {why}"
    yield f"\n{'compared with one undisturbed process':<40}{'number':>9}{'different':>11}"
    bad = Counter(one.what for one in outcome.found)
    for what, meaning in WHERE.items():
        yield f"{meaning:<40}{outcome.compared.get(what, 0):>9}{bad[what]:>11}"
    yield f"subscribers came back {outcome.breaks} times with their tokens"
    if outcome.found:
        yield f"\nthe first {min(LISTED, len(outcome.found))} of {len(outcome.found)} differences:"
    for one in outcome.found[:LISTED]:
        yield f"  {WHERE[one.what]}: {one.verdict}: {one.detail}" + (f"  [{one.near}]" if one.near else "")
    yield ""
    yield verdict(outcome)


def verdict(outcome: Outcome) -> str:
    """In one sentence."""
    plan = outcome.plan
    who = f"mutant {plan.mutant}" if plan.mutant else "the product"
    if outcome.is_sound:
        return f"{who}: nothing lost, nothing doubled in {len(outcome.recoveries)} faults (seed {plan.seed})"
    said = [f"{count} {verdict} in {WHERE[what]}" for (what, verdict), count in tally(outcome.found).items()]
    said += [f"no fault of kind {kind} came" for kind in outcome.missing]
    said += [f"not well again after {one.fault.name}" for one in outcome.recoveries if one.seconds is None]
    return f"{who}: {'; '.join(said + outcome.troubles)} (seed {plan.seed})"


def tally(found: list[Difference]) -> Counter[tuple[str, str]]:
    """How many of each verdict where."""
    return Counter((one.what, one.verdict) for one in found)


def by_kind(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Times to recover, s; what was not got over counts as infinite."""
    found: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys(one.fault.kind for one in outcome.recoveries):
        mine = [one for one in outcome.recoveries if one.fault.kind == kind]
        times = [float("inf") if one.seconds is None else one.seconds for one in mine]
        found[kind] = {
            "times": len(mine),
            "median": median(times),
            "worst": max(times),
            "silence": max(one.silence for one in mine),
            "goal": GOALS.get(kind, GOAL),
        }
    return found


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The same, whole."""
    return {
        "plan": asdict(outcome.plan),
        "sound": outcome.is_sound,
        "verdict": verdict(outcome),
        "trades": outcome.trades,
        "faults": [
            {
                "fault": one.fault.name,
                "kind": one.fault.kind,
                "at_s": round(one.at_s, 2),
                "seconds": None if one.seconds is None else round(one.seconds, 3),
                "silence": round(one.silence, 3),
            }
            for one in outcome.recoveries
        ],
        "recovery": {
            kind: {name: None if value == float("inf") else value for name, value in row.items()}
            for kind, row in by_kind(outcome).items()
        },
        "skipped": outcome.skipped,
        "compared": outcome.compared,
        "differences": [asdict(one) for one in outcome.found[:LISTED]],
        "differences_in_all": len(outcome.found),
        "breaks": outcome.breaks,
    }
