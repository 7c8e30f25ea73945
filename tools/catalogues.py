"""Everything the reference is made from, read out of the code: errors, settings, services."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

import candlewick
from candlewick.app import registry
from candlewick.app.configuration import OWN_SECTIONS
from candlewick.kernel.errors import CandlewickError, Conflict, Corrupt, Fatal, NotFound, Rejected, Retryable
from candlewick.kernel.lifecycle import ServiceSpec

ADVICE: tuple[tuple[type[CandlewickError], str], ...] = (
    (NotFound, "nothing is there; ask for something else"),
    (Conflict, "contradicts what is there"),
    (Rejected, "mend the request; the same one fails again"),
    (Retryable, "try again later; nothing was half done"),
    (Corrupt, "the bytes cannot be trusted; restore or fetch them again"),
    (Fatal, "the unit stops and a supervisor starts it again"),
    (CandlewickError, "look into the log"),
)


def specs() -> list[ServiceSpec[Any]]:
    """Every service, by name."""
    return [registry.load(name) for name in sorted(registry.SERVICES)]


def errors() -> list[type[CandlewickError]]:
    """Every error class of the package that has a code of its own, by code; all modules are imported to find them."""
    for module in pkgutil.walk_packages(candlewick.__path__, "candlewick."):
        if not module.name.endswith("__main__") and ".versions." not in module.name:
            importlib.import_module(module.name)
    found: set[type[CandlewickError]] = {CandlewickError}
    queue = [CandlewickError]
    while queue:
        for kind in queue.pop().__subclasses__():
            if kind not in found and kind.__module__.startswith("candlewick."):
                found.add(kind)
                queue.append(kind)
    return sorted((kind for kind in found if "code" in vars(kind)), key=lambda kind: (kind.code, kind.__module__))


def advice(kind: type[CandlewickError]) -> str:
    """What to do about an error of this class."""
    return next(text for base, text in ADVICE if issubclass(kind, base))


def settings() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Section name and class of all settings: the process's own, then each service's."""
    yield from OWN_SECTIONS.items()
    for spec in specs():
        yield spec.name, spec.settings


def fields(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and meaning of a settings class's fields."""
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        meaning, limits = "", []
        if get_origin(hint) is Annotated:
            hint, *metas = get_args(hint)
            for meta in metas:
                meaning = meta.description or meaning
                named = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
                limits += [
                    f"{text} {getattr(meta, name)}" for name, text in named.items() if getattr(meta, name) is not None
                ]
        shown = getattr(hint, "__name__", str(hint)) if not get_args(hint) else str(hint)
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        yield field.name, ", ".join([shown.replace("typing.", ""), *limits]), _text(default), meaning


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
