"""Settings with a known origin: default < profile < file < environment < flag.

A settings class is a frozen msgspec.Struct with a default for every field; a field's meaning is its
``Meta(description=...)``. Each service owns its class; there is no global one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

import msgspec

from candlewick.kernel.errors import Rejected

ENV_PREFIX = "CANDLEWICK_"
T = TypeVar("T", bound=msgspec.Struct)


class BadSettings(Rejected):
    """A setting that does not exist, or a value that is not of its type."""

    code = "BAD_SETTINGS"


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings: section -> field -> value. Text values (environment, flags) are converted by type."""

    source: str
    values: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A section's settings, and for every field the source its value came from."""

    section: str
    settings: Any
    sources: Mapping[str, str]


def load(kind: type[T], section: str, layers: Sequence[Layer]) -> tuple[T, Loaded]:
    """Settings of one section from layers, weakest first. Raises BadSettings naming source and field."""
    values: dict[str, Any] = {}
    sources = dict.fromkeys(kind.__struct_fields__, "default")
    hints = get_type_hints(kind, include_extras=True)
    for layer in layers:
        for name, value in layer.values.get(section, {}).items():
            if name not in hints:
                known = ", ".join(kind.__struct_fields__)
                raise BadSettings(f"{layer.source}: {section} has the settings {known}, was {name!r}")
            try:
                values[name] = msgspec.convert(_listed(value, hints[name]), hints[name], strict=False)
            except msgspec.ValidationError as error:
                raise BadSettings(f"{layer.source}: {section}.{name}: {error}, was {value!r}") from None
            sources[name] = layer.source
    settings = kind(**values)
    return settings, Loaded(section, settings, sources)


def _listed(value: Any, hint: Any) -> Any:
    """Text from the environment becomes a list where the field wants one: 'a, b' -> ['a', 'b']."""
    text = str(hint)
    if isinstance(value, str) and ("tuple[" in text or "list[" in text):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """``CANDLEWICK_MARKET__RING_SIZE=500`` -> market.ring_size. Names without ``__`` are not settings."""
    values: dict[str, dict[str, Any]] = {}
    for name, value in environ.items():
        if name.startswith(ENV_PREFIX) and "__" in name:
            section, _, field = name[len(ENV_PREFIX) :].lower().partition("__")
            values.setdefault(section, {})[field] = value
    return Layer("environment", values)


def flag_layer(assignments: Sequence[str]) -> Layer:
    """``market.ring_size=500`` from the command line. Raises BadSettings."""
    values: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        section, dot, field = path.partition(".")
        if not (equals and dot):
            raise BadSettings(f"--set takes section.name=value, was {assignment!r}")
        values.setdefault(section.strip(), {})[field.strip().replace("-", "_")] = value
    return Layer("flag", values)
