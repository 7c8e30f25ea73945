"""The port's face of the engine's thread."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters._kafka.names import Names
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.stream.quix.leaving import check_at_work
from candlewick.adapters.stream.quix.looking import Look
from candlewick.adapters.stream.quix.options import StreamOptions, group_of
from candlewick.adapters.stream.quix.worker import Worker
from candlewick.contracts.operators import Operator
from candlewick.contracts.topics import CATALOGUE, Topic
from candlewick.kernel.clock import Clock
from candlewick.kernel.errors import CandlewickError, Conflict, Retryable
from candlewick.ports.log import LogUnavailable
from candlewick.ports.stream import StreamStats, StreamStopped

_LOOK_S: Final = 0.5


def _ignore(step: str) -> None:
    """No one watches the steps."""


def _ignore_trouble(error: CandlewickError) -> None:
    """No one wants to know."""


class QuixStreamRuntime:
    """Runs one operator; members with the same group share its partitions.

    ``member`` is stable across restarts of the same worker: a new life fences the one before it and has its seat and
    partitions at once. ``state_dir`` holds what the changelogs hold too; without it, it is restored from them.
    ``group`` is where positions and state are kept, by default ``stream.<operator>``. ``suffix`` comes behind the name
    of every topic it writes: an operator that only shows what it would write (``shadow.Handover``).

    ``on_step`` is called on the engine's thread at each step: read, decoded, applied, submitting, submitted,
    committed. For fault injection and tracing.
    """

    def __init__(
        self,
        brokers: str,
        *,
        clock: Clock,
        member: str,
        state_dir: Path,
        topics: Sequence[Topic] = CATALOGUE,
        options: KafkaOptions | None = None,
        stream: StreamOptions | None = None,
        group: str | None = None,
        suffix: str = "",
        producer: str = "stream",
        on_step: Callable[[str], None] = _ignore,
    ) -> None:
        """``brokers`` is ``host:port`` divided by commas."""
        self._brokers, self._clock, self._member = brokers, clock, member
        self._state_dir = state_dir
        self._options = options or KafkaOptions()
        self._stream = stream or StreamOptions()
        self._names = Names(topics, self._options.prefix)
        self._admin = Admin(brokers, self._options)
        self._group, self._suffix, self._producer, self._step = group, suffix, producer, on_step
        self._worker: Worker | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stats = StreamStats()

    async def start(
        self,
        operator: Operator,
        *,
        on_failure: Callable[[BaseException], None],
        on_trouble: Callable[[CandlewickError], None] = _ignore_trouble,
    ) -> None:
        """Both are called on the event loop. Raises Conflict when an operator is running already, HandedOver,
        UnknownTopic, LogUnavailable, KafkaRefused."""
        if self._worker is not None:
            raise Conflict(f"a runtime carries one operator, was asked to start {operator.name!r}")
        loop = asyncio.get_running_loop()

        def failed(error: BaseException) -> None:
            with contextlib.suppress(RuntimeError):  # the loop may have closed meanwhile
                loop.call_soon_threadsafe(on_failure, error)

        def troubled(error: CandlewickError) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(on_trouble, error)

        self._stats = StreamStats()
        inputs = {self._names.there(topic): self._names.partitions(topic) for topic in operator.consumes}
        group = self._options.prefix + (self._group or group_of(operator.name))
        if not self._suffix:
            look = Look(self._brokers, self._admin, self._options)
            await asyncio.to_thread(check_at_work, look, group, (next(iter(inputs)), 0))
        begin = partial(
            Worker,
            operator,
            brokers=self._brokers,
            admin=self._admin,
            names=self._names,
            options=self._options,
            stream=self._stream,
            group=group,
            member=self._member,
            state_dir=self._state_dir / self._member,
            inputs=inputs,
            clock=self._clock,
            suffix=self._suffix,
            producer=self._producer,
            on_step=self._step,
            on_failure=failed,
            on_trouble=troubled,
            stats=self._stats,
        )
        worker = begin()
        await asyncio.to_thread(worker.start)
        self._worker = worker
        self._watch = asyncio.create_task(self._look_after(begin, failed, troubled))

    async def _look_after(
        self,
        begin: Callable[[], Worker],
        failed: Callable[[BaseException], None],
        troubled: Callable[[CandlewickError], None],
    ) -> None:
        """Where a commit is never answered another worker takes the seat: what a hung broker has swallowed the client
        waits for without end, whatever time it was given (librdkafka 2.12.1)."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._worker is None or not self._worker.is_unanswered():
                continue
            self._worker.leave()
            troubled(
                LogUnavailable("a commit was never answered", hint="A new client takes the seat and does it again")
            )
            other = begin()
            try:
                await self._begun(other)
            except asyncio.CancelledError:
                other.leave()
                raise
            except BaseException as error:
                failed(error)
                return
            self._worker = other

    async def _begun(self, worker: Worker) -> None:
        while True:
            try:
                await asyncio.to_thread(worker.start)
            except Retryable:
                await asyncio.sleep(_LOOK_S)
            else:
                return

    async def _let_go(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])

    async def stop(self) -> None:
        await self._let_go()
        worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.to_thread(worker.stop)

    async def abandon(self) -> None:
        """Let go as a killed process would: nothing more is committed, the group hears nothing. For tests."""
        await self._let_go()
        worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.to_thread(worker.abandon)

    async def caught_up(self) -> None:
        while (worker := self._worker) is not None:
            try:
                await asyncio.to_thread(worker.wait)
            except StreamStopped:
                if not worker.is_left or self._watch is None:
                    raise
                await asyncio.sleep(_LOOK_S)
            else:
                return
        raise StreamStopped("no operator is running")

    def stats(self) -> StreamStats:
        return self._stats
