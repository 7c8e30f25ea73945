"""What differs between venues on a live connection, as the shared machinery sees it."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Protocol

import msgspec

from candlewick.contracts.market import Instrument
from candlewick.ports.venue import Sink


class Answer(Enum):
    """What a frame means for the requests that are out."""

    NONE = "none"
    DONE = "done"
    REFUSED = "refused"


class LiveParser(Protocol):
    """A parser that also knows what is received and what is not."""

    def parse(self, ts_recv: int, raw: bytes, sink: Sink) -> None: ...

    def flush(self, ts_recv: int, sink: Sink) -> None: ...

    def add(self, instrument: Instrument) -> None: ...

    def learn(self, instrument: Instrument, ts_recv: int, sink: Sink) -> None:
        """What is known of a symbol of ours now; its scales grow where they must."""
        ...

    def remove(self, symbol: str, ts_recv: int, sink: Sink) -> None: ...

    def lost(self, symbols: Iterable[str], reason: str, ts_recv: int, sink: Sink) -> None: ...

    def subscribed(self, symbols: Iterable[str]) -> None: ...

    def silent(self, ts_recv: int, at_least_ns: int) -> list[str]:
        """Symbols that have said nothing for far longer than they usually do; each is told once."""
        ...

    def wanted_snapshots(self) -> list[str]: ...

    def snapshot(self, symbol: str, raw: bytes, ts_recv: int, sink: Sink) -> bool: ...


class Dialect(Protocol):
    """How one venue is spoken to."""

    @property
    def exchange(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def streams_per_symbol(self) -> int: ...

    @property
    def proof_streams(self) -> Sequence[str]:
        """Streams every connection also takes, so that it is never rightly silent."""
        ...

    def parser(self) -> LiveParser: ...

    def streams(self, instrument: Instrument) -> Sequence[str]: ...

    def subscribe(self, request: int, streams: Sequence[str]) -> bytes: ...

    def unsubscribe(self, request: int, streams: Sequence[str]) -> bytes: ...

    def answer(self, raw: bytes) -> tuple[Answer, int]:
        """Whether a frame answers a request, and which. Cheap: it sees every frame while a request is out."""
        ...

    async def snapshot(self, instrument: Instrument) -> tuple[bytes, bytes]:
        """A fresh book: the frame to record, and the bytes for ``LiveParser.snapshot``. Raises venue errors."""
        ...


class Limits(msgspec.Struct, frozen=True):
    """Numbers of the connection laws; the defaults suit Binance's documented limits with room to spare."""

    streams_a_connection: int = 200  # of 1,024
    streams_a_request: int = 100
    requests_a_second: float = 4.0  # of 5, pings and pongs included
    lifetime_s: float = 23.5 * 3600  # the venue ends a connection after 24 h
    overlap_s: float = 2.0  # old and new connection run beside each other
    silence_s: float = 10.0
    symbol_silence_s: float = 30.0
    connect_timeout_s: float = 10.0
    answer_timeout_s: float = 10.0
    linger_s: float = 0.005
    watch_s: float = 0.25
    backoff_s: float = 0.5
    backoff_cap_s: float = 30.0
    breaker_failures: int = 6
    breaker_open_s: float = 30.0
    snapshot_retry_s: float = 1.0
    connections_a_window: int = 250  # of 300 in 5 minutes
