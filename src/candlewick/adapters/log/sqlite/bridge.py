"""Between the event loop and the log's threads: requests in, results and news out, the loop never waits.

Results of one commit reach the loop in one call. A send that finds the queue full waits its turn: first in, first out.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from candlewick.adapters._sqlite.logfile import LogFile, WriteRequest, Written
from candlewick.adapters.log.sqlite.connections import Connections
from candlewick.ports.log import LogUnavailable

T = TypeVar("T")

_READERS = 2


class Bridge:
    """One per opened log and event loop. Every method is called on the loop unless it says otherwise."""

    def __init__(self, file: LogFile, loop: asyncio.AbstractEventLoop) -> None:
        self._file = file
        self._loop = loop
        self._blocked: deque[tuple[asyncio.Future[Future[Written]], WriteRequest]] = deque()
        self._done: deque[tuple[asyncio.Future[Written], Future[Written]]] = deque()
        self._sleepers: dict[asyncio.Future[None], frozenset[int]] = {}
        self._news: deque[frozenset[int] | None] = deque()
        self._stirs = 0
        self._is_delivering = False
        self._is_telling = False
        self._connections = Connections(file)
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="log-reader")
        self._unwatch = file.watch(self._heard)
        file.watch_room(self._has_room)

    async def write(self, request: WriteRequest) -> Written:
        """Queue a request, waiting while there is no room, and wait for its commit."""
        future = None if self._blocked else self._file.offer(request)
        if future is None:
            turn: asyncio.Future[Future[Written]] = self._loop.create_future()
            self._blocked.append((turn, request))
            self._unblock()
            future = await turn
        result: asyncio.Future[Written] = self._loop.create_future()
        future.add_done_callback(partial(self._ended, result))
        return await result

    def read(self, job: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Run ``job(connection, *args)`` in a reader thread."""
        return self._loop.run_in_executor(self._pool, self._connections.call, job, args)

    def news(self) -> int:
        """To be asked before reading, for ``sleep``."""
        return self._file.news() + self._stirs

    async def sleep(self, seen: int, topics: frozenset[int], timeout_s: float) -> None:
        """Wait for records of the topics behind ``seen``, a change of groups, or the time-out."""
        sleeper: asyncio.Future[None] = self._loop.create_future()
        self._sleepers[sleeper] = topics
        try:
            # Entered first, then asked: a commit in between either wakes the sleeper or is seen here.
            if self.news() == seen:
                timer = self._loop.call_later(timeout_s, _end, sleeper)
                await sleeper
                timer.cancel()
        finally:
            del self._sleepers[sleeper]

    def wake_all(self) -> None:
        """End every sleep."""
        for sleeper in self._sleepers:
            _end(sleeper)

    async def stop_reading(self) -> None:
        """Before the file is closed: end sleeps, let reads finish, close their connections."""
        self.wake_all()
        await asyncio.to_thread(self._pool.shutdown)
        self._connections.close()

    def stop_writing(self) -> None:
        """After the file was closed: whoever still waits for room is refused."""
        self._unwatch()
        self._unblock()
        self._deliver()

    # -- called by the log's threads --------------------------------------------------------------------------------

    def stir(self) -> None:
        """From any thread: end every sleep."""
        self._stirs += 1
        self._heard(None)

    def _call(self, function: Callable[[], None]) -> None:
        # A loop that has been closed under us has nobody left to tell.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _ended(self, result: asyncio.Future[Written], future: "Future[Written]") -> None:
        self._done.append((result, future))
        if not self._is_delivering:
            self._is_delivering = True
            self._call(self._deliver)

    def _heard(self, touched: frozenset[int] | None) -> None:
        if self._sleepers:
            self._news.append(touched)
            if not self._is_telling:
                self._is_telling = True
                self._call(self._tell)

    def _has_room(self) -> None:
        if self._blocked:
            self._call(self._unblock)

    # -- called on the loop -----------------------------------------------------------------------------------------

    def _deliver(self) -> None:
        # The mark goes first: what is added while we drain is either drained too or calls again.
        self._is_delivering = False
        while self._done:
            result, future = self._done.popleft()
            if result.done():
                continue
            error = future.exception()
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(future.result())

    def _tell(self) -> None:
        self._is_telling = False
        while self._news:
            touched = self._news.popleft()
            for sleeper, topics in self._sleepers.items():
                if touched is None or not topics.isdisjoint(touched):
                    _end(sleeper)

    def _unblock(self) -> None:
        while self._blocked:
            turn, request = self._blocked[0]
            if not turn.done():
                try:
                    future = self._file.offer(request)
                except LogUnavailable as error:
                    turn.set_exception(error)
                else:
                    if future is None:
                        return
                    turn.set_result(future)
            self._blocked.popleft()


def _end(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)
