"""Exchanges, one package each. A venue's package offers ``create(**options) -> Venue`` and is imported only when asked
for; names that start with an underscore hold what several venues share.
"""

import importlib
import pkgutil
from typing import Any, cast

from candlewick.kernel.errors import NotFound
from candlewick.ports.venue import Venue


class UnknownVenue(NotFound):
    """No adapter is installed for the venue."""

    code = "UNKNOWN_VENUE"


def names() -> tuple[str, ...]:
    """The venues there are, sorted. Imports none of them."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.ispkg and not m.name.startswith("_")))


def venue(name: str, **options: Any) -> Venue:
    """A venue by its name; ``options`` are those of its ``create``. Imports that venue alone. Raises UnknownVenue."""
    if name not in names():
        raise UnknownVenue(f"venue must be one of {', '.join(names())}, was {name!r}")
    module = importlib.import_module(f"{__name__}.{name}")
    return cast(Venue, module.create(**options))
