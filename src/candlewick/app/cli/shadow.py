"""Run a new version of the stream processor in shadow of the one at work, compare what both make of the same trades,
and put the new one in its place without a loss, or back.

begin copies positions and state of the group at work to GROUP, a new one, beside it. A stream processor of the new
version then runs with cluster.stream_group=GROUP and cluster.stream_shadow=true: it only shows what it would write.
compare ends with 1 when the two differ, or when there was nothing to compare. promote, once both are stopped, hands
over what the new version alone has made; after it GROUP is the one at work, as cluster.stream_group says. status shows
where both stand. drop removes what GROUP has on the brokers. Every step prints the next one.
"""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from candlewick.app.cli.brokers import add_brokers, brokers_of
from candlewick.app.cli.options import add_common, configuration
from candlewick.app.configuration import GROUP_PATTERN, ClusterSettings, Configuration
from candlewick.kernel.errors import Conflict, Rejected

if TYPE_CHECKING:
    from candlewick.adapters.stream.quix.shadow import Handover

EXAMPLES = """examples:
  candlewick shadow begin stream.candles.2
  candlewick run stream --profile cluster --data-dir ./shadow --port 9000 \\
    --set cluster.stream_group=stream.candles.2 --set cluster.stream_shadow=true
  candlewick shadow compare stream.candles.2
  candlewick shadow promote stream.candles.2
  candlewick shadow promote stream.candles --from stream.candles.2      the way back
"""
_VERBS: Final = ("begin", "compare", "promote", "status", "drop")


class BadGroupName(Rejected):
    """A group of the stream processor cannot have this name, or is named as both versions' own."""

    code = "BAD_GROUP_NAME"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verb", choices=_VERBS)
    parser.add_argument("group", metavar="GROUP", help="the group of the version in shadow, such as stream.candles.2")
    parser.add_argument(
        "--from", dest="old", metavar="GROUP",
        help="the group at work (default: cluster.stream_group, else stream.<operator>)",
    )  # fmt: skip
    add_brokers(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_common(parser)


def run(parsed: argparse.Namespace) -> int:
    """Returns 1 when compare finds a difference, or nothing that both have made."""
    config = configuration(parsed)
    settings = config.cluster
    brokers = brokers_of(parsed, settings)
    from candlewick.adapters.stream.quix import group_of
    from candlewick.adapters.stream.quix.shadow import Handover
    from candlewick.app.profiles.cluster import kafka_options
    from candlewick.quant.candles.operator import CandleOperator

    operator = CandleOperator()
    at_work = settings.stream_group or group_of(operator.name)
    old = parsed.old or at_work
    for group in (parsed.group, old):
        if not group or not re.fullmatch(GROUP_PATTERN, group):
            raise BadGroupName(
                f"a group must be of letters, digits, '.', '_' and '-', 100 at most, was {group!r}",
                hint="Name it stream.candles.2, and the next one stream.candles.3",
            )
    if parsed.verb == "drop":
        if parsed.group == at_work:
            raise Conflict(
                f"the group at work cannot be dropped, was {parsed.group!r}",
                hint="Once another one is promoted and set as cluster.stream_group, this one can",
            )
    elif parsed.group == old:
        raise BadGroupName(
            f"the two versions need groups of their own, was {old!r} for both",
            hint="Name the other version's group with --from",
        )
    handover = Handover(brokers, operator, old=old, new=parsed.group, options=kafka_options(settings), say=_tell)
    status, found, lines = _DO[parsed.verb](handover, _Words(parsed, config, settings, old))
    print(json.dumps(found) if parsed.json else "\n".join(lines), flush=True)
    return status


def _tell(line: str) -> None:
    print(f"{line} ...", file=sys.stderr, flush=True)


class _Words:
    """What the next command is, with the options that this one was given."""

    def __init__(self, parsed: argparse.Namespace, config: Configuration, settings: ClusterSettings, old: str) -> None:
        self.new: str = parsed.group
        self.old = old
        self.folder: Path = config.data_dir / "stream" / self.new
        self._settings = settings
        self._from = ["--from", parsed.old] if parsed.old else []
        self._brokers: str | None = parsed.brokers
        self._common = [word for one in ("data_dir", "config") if (value := getattr(parsed, one)) is not None
                        for word in (f"--{one.replace('_', '-')}", str(value))]  # fmt: skip
        self._sets = [word for one in parsed.assignments for word in ("--set", one)]
        self._config = ["--config", str(parsed.config)] if parsed.config is not None else []

    def shadow(self, verb: str) -> str:
        """The same with another verb."""
        brokers = ["--brokers", self._brokers] if self._brokers else []
        return _command("shadow", verb, self.new, *self._from, *brokers, *self._common, *self._sets)

    def process(self) -> str:
        """The new version's stream processor as a shadow."""
        brokers = ["--set", f"cluster.kafka_brokers={self._brokers}"] if self._brokers else []
        own = ["--set", f"cluster.stream_group={self.new}", "--set", "cluster.stream_shadow=true"]
        where = ["--profile", "cluster", "--data-dir", "DIR", "--port", "PORT"]
        return _command("run", "stream", *where, *self._config, *brokers, *self._sets, *own)


def _command(*words: str) -> str:
    return "  candlewick " + shlex.join(words)


_Told = tuple[int, dict[str, object], Sequence[str]]


def _begin(handover: "Handover", words: _Words) -> _Told:
    entries = handover.begin()
    lines = [
        f"copied {entries} entries of state, and the positions they belong to, from {words.old} to {words.new}",
        "next: run the new version beside the old one, with a data dir and a port of its own:",
        words.process(),
        "and when it has taken some trades:",
        words.shadow("compare"),
    ]
    return 0, {"from": words.old, "group": words.new, "entries": entries}, lines


def _compare(handover: "Handover", words: _Words) -> _Told:
    found = handover.compare()
    lines = [
        f"{found.messages} messages that both have processed since {words.new} began: {found.equal} outputs are equal, "
        f"{found.different} different, {found.only_old} only the old version's, {found.only_new} only the new one's"
    ]
    if found.examples:
        lines += ["the first that differ:", *(f"  {example}" for example in found.examples)]
    if not found.messages:
        lines += ["next: see where both stand:", words.shadow("status")]
    elif found.differs:
        lines += ["next: when this is meant, stop both; then:", words.shadow("promote")]
        lines += ["or stop the new one, and remove it:", words.shadow("drop")]
    else:
        lines += ["next: stop both, the old one first; then:", words.shadow("promote")]
    told = {"messages": found.messages, "equal": found.equal, "different": found.different,
            "only_old": found.only_old, "only_new": found.only_new, "examples": found.examples}  # fmt: skip
    return int(found.differs or not found.messages), told, lines


def _promote(handover: "Handover", words: _Words) -> _Told:
    records = handover.promote()
    lines = [
        f"handed over {records} records that {words.new} alone had made",
        "next: in candlewick.toml, or as CANDLEWICK_CLUSTER__STREAM_GROUP, set",
        "  [cluster]",
        f'  stream_group = "{words.new}"',
        "and start the new version without cluster.stream_shadow",
        f"from now on {words.old} runs as a shadow only: at work it would write again what was handed over",
    ]
    return 0, {"from": words.old, "group": words.new, "records": records}, lines


def _status(handover: "Handover", words: _Words) -> _Told:
    found = handover.status()
    lines = []
    for one in (found.old, found.new):
        at_work = "nobody at work" if not one.members else f"{one.members} at work"
        lines.append(f"{one.group:24} {at_work}, {one.lag} behind the end of the input")
    state = "promoted" if found.promoted else "begun, not promoted" if found.begun else "not begun"
    lines[-1] += f"; {state}"
    if found.promoted:
        lines += [f"next: cluster.stream_group should be {words.new}"]
        lines += [f"the way back, once {words.old} has run as a shadow:"]
        lines += [_command("shadow", "promote", words.old, "--from", words.new)]
    else:
        lines += ["next:", words.shadow("compare" if found.begun else "begin")]
    told = {name: {"group": one.group, "members": one.members, "lag": one.lag}
            for name, one in (("old", found.old), ("new", found.new))}  # fmt: skip
    return 0, {**told, "begun": found.begun, "promoted": found.promoted}, lines


def _drop(handover: "Handover", words: _Words) -> _Told:
    topics = handover.drop()
    lines = [
        f"removed the positions of {words.new}, and {len(topics)} topics",
        f"next: delete what its processes kept on their disks, {words.folder} where that was their data dir",
    ]
    return 0, {"group": words.new, "topics": topics}, lines


_DO: Final[dict[str, Callable[["Handover", _Words], _Told]]] = {
    "begin": _begin, "compare": _compare, "promote": _promote, "status": _status, "drop": _drop,
}  # fmt: skip
