"""What a service is: a spec that is data, and a thing that starts and stops."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

Mode = Literal["shared", "broadcast"]


class State(Enum):
    """Where a service is in its life."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Health:
    """What a service says of itself; ``detail`` explains anything that is not ready, ``facts`` are for people."""

    state: State
    detail: str = ""
    facts: dict[str, str | int | float | bool | None] = field(default_factory=dict)


class Service(Protocol):
    """``start`` returns when ready. ``stop`` finishes what is in hand; it is called once, also after a failed start."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def health(self) -> Health: ...


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic that a service reads: ``shared`` by its instances, or ``broadcast`` to each."""

    topic: str
    mode: Mode


C_contra = TypeVar("C_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class ServiceSpec(Generic[C_contra]):
    """A service as data: docs and tests are generated from it, the composition root builds from it.

    ``place`` is added to the base port when each service has a port of its own. ``calls`` names services asked over
    HTTP; the call graph has no cycle. ``needs`` names the ports handed over in the context. ``schema`` is the folder of
    its Alembic history, None without tables.
    """

    name: str
    place: int
    purpose: str
    settings: type[Any]
    build: Callable[[C_contra], Service]
    consumes: tuple[Subscription, ...] = ()
    produces: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    schema: Path | None = None
