"""What a service tells of its health, and of the services and ports that it stands on."""

from typing import Literal

import msgspec


class HealthView(msgspec.Struct, frozen=True):
    """Whether a service serves, and what it has to do without: names of services, and since when (ms UTC)."""

    service: str
    status: Literal["starting", "ready", "degraded", "failed", "stopping", "stopped"]
    missing: dict[str, int] = {}


class Neighbour(msgspec.Struct, frozen=True):
    """A service that this one asks or hears of, as it was found last: its state (``unreachable`` when it does not
    answer, ``unknown`` before the first look), since when (ms UTC), why, and what that one misses itself."""

    status: Literal["starting", "ready", "degraded", "failed", "stopping", "stopped", "unreachable", "unknown"]
    since: int
    detail: str = ""
    missing: dict[str, int] = {}

    @property
    def serves(self) -> bool:
        return self.status in ("ready", "degraded", "unknown")


class HealthDetail(msgspec.Struct, frozen=True):
    """A service's state, its reason, facts of its own, and the services that it asks or hears of."""

    service: str
    version: str
    mode: str
    status: Literal["starting", "ready", "degraded", "failed", "stopping", "stopped"]
    detail: str
    facts: dict[str, str | int | float | bool | None]
    missing: dict[str, int] = {}
    services: dict[str, Neighbour] = {}


class Dependency(msgspec.Struct, frozen=True):
    """A port that a service stands on; ``detail`` says what is wrong with it."""

    ok: bool
    detail: str | None


class Dependencies(msgspec.Struct, frozen=True):
    """The ports that a service stands on and the services that it asks or hears of, by name."""

    service: str
    dependencies: dict[str, Dependency]
