"""A producer's schemas, registered while it starts or, where the registry is away, while it runs."""

from collections.abc import Sequence
from typing import Any

from candlewick.contracts.topics import Topic
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import Retryable
from candlewick.kernel.patience import Patience
from candlewick.ports.schemas import RegistryUnavailable, SchemaHeader, Schemas


class SchemaRegistration:
    """Registers the topics a process writes. ``header`` may be asked from any thread, before and while it registers."""

    def __init__(self, schemas: Schemas, topics: Sequence[Topic], clock: Clock, logger: Any) -> None:
        self._schemas, self._topics = schemas, tuple(topics)
        self._logger = logger
        self._patience = Patience(clock, logger, "the registration of schemas", most_s=30.0)
        self._header: SchemaHeader | None = None
        self._missing: Retryable | None = None

    def header(self, topic: str, envelope: bytes) -> bytes | None:
        """The schema header of a record; None while schemas are not registered."""
        return self._header(topic, envelope) if self._header is not None else None

    async def open(self) -> bool:
        """One try. False where the registry is away; ``run`` goes on then. Raises SchemaIncompatible, RegistryRefused:
        whoever writes these topics must not start."""
        try:
            self._header = await self._schemas.register(self._topics)
        except RegistryUnavailable as error:
            self._missing = error
            self._logger.warning(
                "schemas are not registered yet; messages go without schema ids", code=error.code, detail=error.detail
            )
            return False
        self._missing = None
        return True

    async def run(self) -> None:
        """Register as soon as the registry is there; returns then. Raises as ``open``: the writer must stop."""
        while self._header is None:
            try:
                self._header = await self._schemas.register(self._topics)
            except RegistryUnavailable as error:
                self._missing = error
                await self._patience.wait(error)
            else:
                self._missing = None
                self._patience.over()

    async def check(self) -> str | None:
        """For health: None once all is registered."""
        return str(self._missing) if self._missing is not None else None

    async def close(self) -> None:
        await self._schemas.close()
