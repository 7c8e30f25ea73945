"""The command: ``python -m tools.chaos --seed N --minutes M``."""

import argparse
import asyncio
import fcntl
import json
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from typing import Any

from tools.chaos import report
from tools.chaos.ground import HOME, MARK, Ground, end, leftovers
from tools.chaos.mutants import MUTANTS
from tools.chaos.schedule import KINDS, MEANINGS, BadChoice, chosen
from tools.chaos.trial import Outcome, Plan, Run, plan_of
from tools.servers.place import Trouble

_SPEED = 8.0
_EPILOG = "\n".join((
    "faults:", *(f"  {kind:<12} {MEANINGS[kind]}: {', '.join(targets)}" for kind, targets in KINDS.items()),
    "", "mutants:", *(f"  {name:<17} {mutant.meaning}" for name, mutant in MUTANTS.items()),
    "", "Ends with 0 when the faults left no trace, with 1 when something was lost, doubled or did not recover (with",
    "--mutants: when a mutant was not caught), with 130 on Ctrl-C. Logs of the last run lie in .dev/chaos/run.",
))  # fmt: skip


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="./dev chaos", description="Everything is killed, paused, cut off and filled up while a known input "
        "flows; then candles, rows, offsets and what subscribers got are compared with one undisturbed process.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--seed", type=int, help="draws input and faults; printed, so that a run can be had again")
    made.add_argument("--minutes", type=float, help="how long faults come (default 5)")
    made.add_argument("--speed", type=float, default=_SPEED, help=f"of the input, times real time (default {_SPEED:g})")
    made.add_argument("--only", metavar="KIND[:TARGET],...", help="these faults alone")
    made.add_argument("--faults", type=int, help="so many at the most")
    made.add_argument("--mutant", choices=tuple(MUTANTS), help="a runtime with one promise broken, under the faults "
                      "that show it unless --only or --minutes says otherwise")  # fmt: skip
    made.add_argument("--mutants", nargs="*", choices=("", *MUTANTS), metavar="NAME", help="each mutant in turn (all "
                      "when none is named); 0 when every one is caught")  # fmt: skip
    made.add_argument("--json", action="store_true", help="the result as JSON on standard output, progress beside it")
    return made


def plans(given: argparse.Namespace, seed: int) -> list[Plan]:
    """What is to be run."""
    if given.mutants is not None:
        return [plan_of(name, seed, given.speed) for name in given.mutants or MUTANTS]
    if given.mutant and given.only is None and given.minutes is None:
        return [plan_of(given.mutant, seed, given.speed)]
    return [Plan(seed, given.minutes or 5.0, given.speed, given.only, given.mutant, given.faults)]


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser()
    given = made.parse_args(arguments)
    try:
        chosen(given.only)
    except BadChoice as error:
        made.error(str(error))
    seed = secrets.randbelow(1 << 32) if given.seed is None else given.seed
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("another run goes on in this checkout; one at a time", file=sys.stderr)
            return 1
        return _alone(given, plans(given, seed))


def _alone(given: argparse.Namespace, wanted: Sequence[Plan]) -> int:
    out = sys.stderr if given.json else sys.stdout

    def say(text: str) -> None:
        print(text, file=out, flush=True)

    os.environ[MARK] = str(HOME)
    end(leftovers())  # of a run that was killed itself
    ground = Ground()
    try:
        return asyncio.run(_guarded(given, wanted, ground, say))
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("stopped")
        return 130
    finally:
        say("stopping the servers ...")
        ground.remove()
        if left := leftovers():
            say(f"left behind and killed: {', '.join(process.name() for process in left)}")
            end(left)


async def _guarded(given: argparse.Namespace, wanted: Sequence[Plan], ground: Ground, say: Any) -> int:
    """The first signal ends the run in order."""
    work = asyncio.ensure_future(_run(given, wanted, ground, say))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    return await work


async def _run(given: argparse.Namespace, wanted: Sequence[Plan], ground: Ground, say: Any) -> int:
    say(f"seed {wanted[0].seed}; starting servers of its own ...")
    await asyncio.to_thread(ground.start)
    outcomes: list[Outcome] = []
    for plan in wanted:
        if plan.mutant:
            say(f"\nmutant {plan.mutant}: {MUTANTS[plan.mutant].meaning}")
        outcome = await Run(plan, ground, say).outcome()
        outcomes.append(outcome)
        for line in report.lines(outcome):
            say(line)
    if given.json:
        shown = [report.as_json(outcome) for outcome in outcomes]
        print(json.dumps(shown if given.mutants is not None else shown[0], indent=1))
    if given.mutants is not None:
        caught = [outcome.plan.mutant for outcome in outcomes if outcome.found and not outcome.troubles]
        say(f"\n{len(caught)} of {len(outcomes)} mutants are caught")
        return 0 if len(caught) == len(outcomes) else 1
    return 0 if outcomes[0].is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
