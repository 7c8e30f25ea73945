"""One connection's life: connect, subscribe in batches, notice silence, close."""

import asyncio
from collections.abc import Callable, Sequence

from candlewick.adapters.venues._connection.dialect import Answer, Dialect, Limits
from candlewick.adapters.venues._connection.socket import Socket
from candlewick.kernel.clock import NS_PER_SECOND, Clock
from candlewick.ports.venue import VenueUnavailable

OnFrame = Callable[[int, bytes], None]


class Session:
    """An open, subscribed connection. Frames go to ``on_frame`` with their receive time, from the first on."""

    def __init__(self, dialect: Dialect, limits: Limits, clock: Clock, on_frame: OnFrame) -> None:
        self._dialect = dialect
        self._limits = limits
        self._clock = clock
        self._on_frame = on_frame
        self._requests: dict[int, asyncio.Future[None]] = {}
        self._next_request = 1
        self._sending = asyncio.Lock()
        self._socket: Socket | None = None
        self.opened_at = 0
        self.last_frame_at = 0
        self.is_muted = False

    async def open(self, streams: Sequence[str]) -> None:
        """Connect and subscribe; every request is answered when this returns. Raises venue errors."""
        self.opened_at = self.last_frame_at = self._clock.monotonic_ns()
        self._socket = await Socket.connect(self._dialect.url, self._take, self._limits.connect_timeout_s)
        try:
            await self.subscribe(streams)
        except BaseException:
            self.close()
            raise

    def _take(self, raw: bytes) -> None:
        self.last_frame_at = self._clock.monotonic_ns()
        if self.is_muted:
            return
        if self._requests:
            answer, request = self._dialect.answer(raw)
            if answer is not Answer.NONE:
                waiting = self._requests.get(request)
                if waiting is not None and not waiting.done():
                    if answer is Answer.DONE:
                        waiting.set_result(None)
                    else:
                        waiting.set_exception(VenueUnavailable(f"the venue refused a request, was {raw[:200]!r}"))
        self._on_frame(self._clock.now_ns(), raw)

    async def subscribe(self, streams: Sequence[str]) -> None:
        await self._request_all(streams, self._dialect.subscribe)

    async def unsubscribe(self, streams: Sequence[str]) -> None:
        await self._request_all(streams, self._dialect.unsubscribe)

    async def _request_all(self, streams: Sequence[str], build: Callable[[int, Sequence[str]], bytes]) -> None:
        size = self._limits.streams_a_request
        for start in range(0, len(streams), size):
            await self._request(build, streams[start : start + size])

    async def _request(self, build: Callable[[int, Sequence[str]], bytes], streams: Sequence[str]) -> None:
        socket = self._socket
        assert socket is not None
        async with self._sending:
            request = self._next_request
            self._next_request += 1
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._requests[request] = waiting
            socket.send(build(request, streams))
            closed = asyncio.ensure_future(socket.wait_closed())
            try:
                await asyncio.wait(
                    {waiting, closed},
                    timeout=self._limits.answer_timeout_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not waiting.done():
                    why = socket.reason if socket.is_closed() else f"no answer in {self._limits.answer_timeout_s} s"
                    raise VenueUnavailable(f"a subscription was not confirmed: {why}")
                waiting.result()
            finally:
                closed.cancel()
                waiting.cancel()
                del self._requests[request]
            await self._clock.sleep(1 / self._limits.requests_a_second)

    def is_closed(self) -> bool:
        return self._socket is None or self._socket.is_closed()

    @property
    def reason(self) -> str:
        return self._socket.reason if self._socket is not None else "not connected"

    def silent_s(self) -> float:
        """Seconds since the last frame."""
        return (self._clock.monotonic_ns() - self.last_frame_at) / NS_PER_SECOND

    def age_s(self) -> float:
        return (self._clock.monotonic_ns() - self.opened_at) / NS_PER_SECOND

    def mute(self) -> None:
        """Frames that still come are read and forgotten."""
        self.is_muted = True

    def close(self) -> None:
        self.mute()
        if self._socket is not None:
            self._socket.close()
