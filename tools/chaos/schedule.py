"""Which fault comes when: drawn from a seed, every kind before any comes a second time."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

SERVICES: Final = ("stream", "history", "market", "realtime", "collector", "gateway")
#: Every kind of fault and what it may be done to.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "kill": SERVICES,
    "kill-broker": ("kafka-1", "kafka-2", "kafka-3"),
    "hang-broker": ("collector", "stream", "history"),
    "pause": ("stream", "history"),
    "cut": ("market", "realtime", "history", "postgres", "redis"),
    "fill-disk": ("data",),
    "restart": ("postgres", "redis", "rabbitmq", "registry"),
}
MEANINGS: Final = {
    "kill": "kill -9 of a service",
    "kill-broker": "kill -9 of a broker, started again some seconds later",
    "hang-broker": "a broker hangs, a service is killed meanwhile, then the broker dies and is started again",
    "pause": "a process sleeps past its session while another takes its place, then goes on: a zombie",
    "cut": "a link between two processes refuses, or swallows, what is sent",
    "fill-disk": "the data dir's disk is full",
    "restart": "a server is stopped and started",
}
#: Time to recover that is gone for, in seconds.
GOALS: Final = {"kill-broker": 30.0, "hang-broker": 30.0, "restart": 30.0}
GOAL: Final = 5.0
#: Kinds of which every target comes before the round is over; of the others one.
_WHOLE: Final = frozenset({"kill", "pause", "cut", "restart"})


class BadChoice(ValueError):
    """``--only`` names something that is not there."""


@dataclass(frozen=True, slots=True)
class Fault:
    """``manner`` of a cut is reset or silent; ``seconds`` is how long it lasts where it lasts; ``broker`` is the one
    that hangs; ``calm`` is what passes before the next."""

    kind: str
    target: str
    manner: str = ""
    seconds: float = 0.0
    broker: str = ""
    calm: float = 1.0

    @property
    def name(self) -> str:
        """As a reader wants it: kind, target and manner."""
        behind = " ".join(word for word in (self.manner, f"while {self.broker} hangs" if self.broker else "") if word)
        return f"{self.kind} {self.target}" + (f" ({behind})" if behind else "")


def chosen(text: str | None) -> dict[str, tuple[str, ...]]:
    """Kinds and targets of ``kill:history,cut,restart:redis``; all of them without. Raises BadChoice."""
    if not text:
        return dict(KINDS)
    found: dict[str, tuple[str, ...]] = {}
    for entry in text.split(","):
        kind, _, target = entry.strip().partition(":")
        if kind not in KINDS:
            raise BadChoice(f"--only takes {', '.join(KINDS)}, was {kind!r}")
        if target and target not in KINDS[kind]:
            raise BadChoice(f"--only {kind} takes {', '.join(KINDS[kind])}, was {target!r}")
        found[kind] = (*found.get(kind, ()), *((target,) if target else KINDS[kind]))
    return found


def faults(seed: int, kinds: dict[str, tuple[str, ...]]) -> Iterator[Fault]:
    """Without end. First one of every kind, in an order of the seed; then the rest of the round, then new rounds."""
    draw = random.Random(seed)
    while True:
        first, rest = [], []
        for kind, targets in kinds.items():
            order = draw.sample(targets, len(targets))
            first.append((kind, order[0]))
            if kind in _WHOLE:
                rest += [(kind, target) for target in order[1:]]
        for places in (first, rest):
            draw.shuffle(places)
            for kind, target in places:
                yield _drawn(draw, kind, target)


def _drawn(draw: random.Random, kind: str, target: str) -> Fault:
    calm = draw.uniform(0.5, 2.0)
    broker = f"kafka-{draw.randint(1, 3)}"
    manner = draw.choice(("reset", "silent"))
    seconds = draw.uniform(2.0, 5.0)
    match kind:
        case "kill-broker":
            return Fault(kind, target, seconds=seconds, calm=calm)
        case "hang-broker":
            return Fault(kind, target, broker=broker, seconds=draw.uniform(1.5, 2.5), calm=calm)
        case "pause":
            return Fault(kind, target, seconds=draw.uniform(8.0, 9.0), calm=calm)
        case "cut":
            return Fault(kind, target, manner, seconds, calm=calm)
        case "fill-disk":
            return Fault(kind, target, seconds=seconds, calm=calm)
        case _:
            return Fault(kind, target, calm=calm)


def missing(done: Sequence[Fault], kinds: dict[str, tuple[str, ...]]) -> list[str]:
    """Kinds that have not come."""
    return [kind for kind in kinds if all(fault.kind != kind for fault in done)]
