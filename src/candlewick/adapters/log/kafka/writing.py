"""One client that writes, the thread that feeds it and the thread that hears of deliveries; and room for what waits."""

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from candlewick.adapters._kafka.errors import translated
from candlewick.ports.log import LogUnavailable, NewRecord

T = TypeVar("T")
Headers = Callable[[NewRecord], list[tuple[str, bytes]]]
_POLL_S = 0.1


class Room:
    """Bytes that may wait, first in, first out. Every method is called on the loop."""

    def __init__(self, bound: int) -> None:
        self.used = 0
        self._bound = bound
        self._waiting: deque[tuple[asyncio.Future[None], int, Callable[[], None]]] = deque()

    async def enter(self, size: int, begin: Callable[[], None]) -> None:
        """Once there is room, take it and call ``begin``; calls begin in the order they came."""
        if not self._waiting and self.used < self._bound:
            self.used += size
            begin()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size, begin))
        await turn

    def leave(self, size: int) -> None:
        """Give it back."""
        self.used -= size
        while self._waiting and self.used < self._bound:
            turn, wanted, begin = self._waiting.popleft()
            if not turn.done():
                self.used += wanted
                begin()
                turn.set_result(None)

    def refuse(self, error: BaseException) -> None:
        """Whoever still waits is told no."""
        while self._waiting:
            turn, _, _ = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(error)


class Delivery:
    """The records of one call and what became of them. ``ended`` is called once, on a thread of the client."""

    def __init__(self, count: int, ended: Callable[["Delivery"], None]) -> None:
        self.offsets = [-1] * count
        self.error: KafkaError | None = None
        self._left = count
        self._ended = ended

    def told(self, ordinal: int, error: KafkaError | None, message: Message) -> None:
        """The client's report of one record."""
        if error is None:
            self.offsets[ordinal] = message.offset()
        elif self.error is None:
            self.error = error
        self._count()

    def fail(self, rest: int, error: KafkaError) -> None:
        """``rest`` records were never taken by the client."""
        self.error = self.error or error
        for _ in range(rest):
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            self._ended(self)


class Writer:
    """Jobs run one after another on the feeding thread, in the order of ``run``."""

    def __init__(self, settings: dict[str, Any], name: str, headers: Headers) -> None:
        self._kafka: Producer = Producer(settings)
        self._headers = headers
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=f"log-{what}-{name}", daemon=True)
            for what, work in (("write", self._feed), ("acks", self._hear))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def kafka(self) -> Producer:
        """The client, for jobs."""
        return self._kafka

    def run(self, job: Callable[[], T]) -> "Future[T]":
        """Have the feeding thread do it."""
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except BaseException as error:
                    future.set_exception(error)

        self._jobs.put(work)
        return future

    def produce(self, records: Sequence[tuple[str, int, NewRecord]], delivery: Delivery) -> None:
        """Hand records to the client: (topic there, partition, record). In a job."""
        write = self._kafka.produce
        for ordinal, (topic, partition, record) in enumerate(records):
            while True:
                try:
                    write(
                        topic,
                        value=record.value,
                        key=record.key,
                        partition=partition,
                        headers=self._headers(record),
                        on_delivery=partial(delivery.told, ordinal),
                    )
                except BufferError:
                    time.sleep(0.001)
                except KafkaException as error:
                    delivery.fail(len(records) - ordinal, error.args[0])
                    return
                else:
                    break

    def close(self, flush_s: float) -> None:
        """Deliver what is there, then stop. Waits; called on a thread."""
        with contextlib.suppress(Exception):
            self.run(lambda: self._kafka.flush(flush_s)).result()
        self._stop()

    def abandon(self) -> None:
        """Stop as a killed process would: what is not sent yet is not sent any more."""
        self._kafka.purge(in_queue=True, in_flight=True, blocking=False)
        self._stop()

    def _stop(self) -> None:
        self._jobs.put(None)
        self._is_over.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        # The last reference ends the client and its threads.
        del self._kafka

    def _feed(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        with contextlib.suppress(queue.Empty):
            while True:
                rest = self._jobs.get_nowait()
                if rest is not None:
                    rest()

    def _hear(self) -> None:
        while not self._is_over.is_set():
            try:
                self._kafka.poll(_POLL_S)
            except KafkaException:
                # A client that cannot go on says so at every poll; whoever uses it is told by the call that fails.
                self._is_over.wait(_POLL_S)
        with contextlib.suppress(KafkaException):
            self._kafka.poll(0)


def failed(error: KafkaError) -> BaseException:
    """What a caller of send is told."""
    told = translated(error, "writing")
    if isinstance(told, LogUnavailable):
        told.hint = "Of a call that failed some records may be kept; consumers drop what comes twice"
    return told
