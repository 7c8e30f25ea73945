"""Suspected holes on their way to the ledger: each counts trades that are missing, so it is said once."""

import asyncio
from typing import Any

from candlewick.contracts.collector import GapSuspected
from candlewick.contracts.topics import COLLECTOR_GAPS
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import Retryable
from candlewick.ports.runtime import Messaging, UnitOfWork

_RETRY_S = 0.1


class Suspicions:
    """Filled by a feed on the event loop. They leave by the outbox: a recording's together with the position behind
    them, a live feed's by themselves."""

    def __init__(self, messaging: Messaging, clock: Clock, logger: Any) -> None:
        self._messaging, self._clock, self._logger = messaging, clock, logger
        self._waiting: list[GapSuspected] = []
        self._filled = asyncio.Event()

    def add(self, suspicion: GapSuspected) -> None:
        self._waiting.append(suspicion)
        self._filled.set()

    def emit(self, unit: UnitOfWork) -> int:
        """Say all that wait, as part of the unit; returns how many, for ``forget`` when it is committed."""
        for suspicion in self._waiting:
            unit.emit(COLLECTOR_GAPS.name, suspicion, ts_event=suspicion.end_ns)
        return len(self._waiting)

    def forget(self, count: int) -> None:
        """The oldest so many are said."""
        del self._waiting[:count]

    async def run(self) -> None:
        """For a live feed; until cancelled. What the database refuses is tried again."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            await self.said()

    async def said(self) -> None:
        """Returns when all that wait at the call are in the outbox."""

        async def work(unit: UnitOfWork) -> Any:
            return self.emit(unit)

        while self._waiting:
            try:
                self.forget(await self._messaging.unit_of_work(work))
            except Retryable as error:
                self._logger.warning("suspected gaps wait", code=error.code, detail=error.detail)
                await self._clock.sleep(_RETRY_S)
