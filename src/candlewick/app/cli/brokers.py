"""What commands that talk to Kafka have in common."""

import argparse
from importlib.util import find_spec

from candlewick.app.configuration import ClusterSettings
from candlewick.kernel.errors import Rejected


class BrokersNotNamed(Rejected):
    """A command that talks to Kafka was not told where it is."""

    code = "BROKERS_NOT_NAMED"


class PackageMissing(Rejected):
    """An optional package that a command needs is not installed."""

    code = "PACKAGE_MISSING"


def add_brokers(parser: argparse.ArgumentParser) -> None:
    """--brokers."""
    parser.add_argument(
        "--brokers", metavar="HOST:PORT,...", help="Kafka brokers to begin with (default: cluster.kafka_brokers)"
    )


def brokers_of(parsed: argparse.Namespace, settings: ClusterSettings) -> str:
    """Those of the command line, else of the settings. Raises BrokersNotNamed, PackageMissing."""
    brokers: str = parsed.brokers or settings.kafka_brokers
    if not brokers:
        raise BrokersNotNamed("no Kafka broker is named", hint="Give --brokers HOST:PORT or set cluster.kafka_brokers")
    if find_spec("confluent_kafka") is None:
        raise PackageMissing("the Kafka client is not installed", hint="pip install 'candlewick[cluster]'")
    return brokers
