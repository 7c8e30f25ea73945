"""Show how the topics on the Kafka brokers differ from the catalogue, or make them as it says.

diff changes nothing and ends with 1 when something differs. apply makes what is missing and sets what differs;
partition counts and replicas cannot be changed in place, and are told. Replicas are three, or as many as there are
brokers; with three, a write needs two of them.
"""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from candlewick.app.cli.brokers import add_brokers, brokers_of
from candlewick.app.cli.options import add_common, configuration
from candlewick.contracts.topics import CATALOGUE

if TYPE_CHECKING:
    from candlewick.adapters.log.kafka import Difference

EXAMPLES = """examples:
  candlewick topics diff --brokers kafka-1:9092,kafka-2:9092
  candlewick topics apply --set cluster.kafka_brokers=127.0.0.1:9092
  candlewick topics diff --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("apply", "diff"), help="make it so, or show what differs")
    add_brokers(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_common(parser)


def run(parsed: argparse.Namespace) -> int:
    """Returns 1 when something differs (diff) or could not be made so (apply)."""
    settings = configuration(parsed).cluster
    brokers = brokers_of(parsed, settings)
    from candlewick.adapters.log.kafka import KafkaOptions, KafkaTopics

    topics = KafkaTopics(brokers, CATALOGUE, KafkaOptions(prefix=settings.prefix))
    differences = topics.differences()
    left = topics.apply() if parsed.what == "apply" else differences
    if parsed.json:
        print(json.dumps({"differences": [asdict(one) for one in differences], "left": [asdict(o) for o in left]}))
        return int(bool(left))
    if not differences:
        print("all topics are as the catalogue says")
    for one in differences:
        print(_line(one, is_done=parsed.what == "apply" and one not in left))
    return int(bool(left))


def _line(one: "Difference", *, is_done: bool) -> str:
    mark = "done" if is_done else "diff" if one.can_apply else "STAY"
    if one.found is None and one.what == "topic":
        return f"{mark}  {one.topic:36} new: {one.wanted}"
    line = f"{mark}  {one.topic:36} {one.what}: {one.found or 'none'} -> {one.wanted}"
    return f"{line}\n      {one.advice}" if one.advice else line
