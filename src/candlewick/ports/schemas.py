"""Schemas of messages, kept where every producer and consumer can look them up.

Payload bytes are the same with and without; schema ids travel in record headers [11]. A store of schemas that cannot be
reached stops nobody: producers start, run, and register later. A schema that the store refuses stops its producer.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from candlewick.contracts.topics import Topic
from candlewick.kernel.errors import Fatal, Rejected, Retryable

SchemaHeader = Callable[[str, bytes], bytes | None]
"""The header that names the schema of a record, of its topic and its encoded envelope; None while it is not known."""


class RegistryUnavailable(Retryable):
    """The schema registry cannot be reached or does not work now."""

    code = "REGISTRY_UNAVAILABLE"


class RegistryRefused(Rejected):
    """The schema registry answers, but not to us: credentials, rights, or something else than a registry."""

    code = "REGISTRY_REFUSED"


class SchemaIncompatible(Fatal):
    """Readers of what this producer writes would not understand what was written before, or the other way round."""

    code = "SCHEMA_INCOMPATIBLE"


class SubjectState(msgspec.Struct, frozen=True):
    """One schema beside what is registered under its subject.

    ``same``: registered. ``new``: nothing is. ``newer``: ours may follow what is registered. ``incompatible``: it may
    not, ``faults`` say why.
    """

    subject: str
    state: Literal["same", "new", "newer", "incompatible"]
    faults: tuple[str, ...] = ()


class Schemas(Protocol):
    async def check(self, topics: Sequence[Topic]) -> list[SubjectState]:
        """Every subject of these topics; changes nothing. Raises RegistryUnavailable, RegistryRefused."""
        ...

    async def register(self, topics: Sequence[Topic]) -> SchemaHeader:
        """Register what is new or newer; once all is there, the ids. Raises SchemaIncompatible, RegistryUnavailable,
        RegistryRefused."""
        ...

    async def close(self) -> None: ...
