"""The only list of services, in start order. ``load`` imports one service alone."""

from importlib import import_module
from typing import Any

from candlewick.kernel.errors import Rejected
from candlewick.kernel.lifecycle import ServiceSpec


class UnknownService(Rejected):
    """A service that is not in the registry."""

    code = "UNKNOWN_SERVICE"


SERVICES: tuple[str, ...] = ("stream", "history", "market", "realtime", "collector", "gateway")


def load(name: str) -> ServiceSpec[Any]:
    """The spec of a service. Raises UnknownService."""
    if name not in SERVICES:
        raise UnknownService(f"service must be one of {', '.join(SERVICES)}, was {name!r}")
    spec: ServiceSpec[Any] = import_module(f"candlewick.services.{name}.service").SERVICE
    return spec
