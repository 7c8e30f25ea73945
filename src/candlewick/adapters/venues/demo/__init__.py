"""The demo market that ships with the product: a venue that needs no network, simulated and labelled so."""

from typing import Any

from candlewick.adapters.venues.demo.venue import DemoVenue
from candlewick.kernel.system import SystemClock
from candlewick.ports.venue import Venue


def create(**options: Any) -> Venue:
    """A demo venue. It uses ``clock`` (default: the machine's) and ``seed``; what only real venues need is ignored."""
    return DemoVenue(options.get("clock") or SystemClock(), seed=options.get("seed", 1))
