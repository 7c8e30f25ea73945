"""Trades that the sink cannot take yet wait on disk, in order, and survive a restart."""

import struct
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from candlewick.contracts import codec
from candlewick.contracts.base import MarketMessage, Message
from candlewick.contracts.collector import GapSuspected, Progress, TradeBatch
from candlewick.kernel.errors import CandlewickError
from candlewick.ports.venue import Sink

_HEAD: Final = struct.Struct("<IIqB")
_KINDS: Final[tuple[type[Message], ...]] = (TradeBatch, Progress)
_DRAIN_AT_ONCE: Final = 128  # records; the event loop has sockets to read
_SEGMENT: Final = 8 << 20


class Spool:
    """A queue of TradeBatch and Progress in segment files of 8 MiB, at most ``max_bytes`` in all.

    Records are taken in the order they were put. A segment is deleted when all of it was taken, so after a crash the
    last one may be taken twice: trades carry dense ids, their readers drop what they have seen.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 1 << 30, segment_bytes: int = _SEGMENT) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._segments = deque(sorted(folder.glob("*.spool")))
        self._number = int(self._segments[-1].stem) if self._segments else 0
        self.bytes = sum(s.stat().st_size for s in self._segments)
        self.damaged = 0
        self._writing: BinaryIO | None = None
        self._written = 0
        self._reading: BinaryIO | None = None

    def is_empty(self) -> bool:
        return not self._segments

    def put(self, message: Message, ts_recv: int) -> bool:
        """Append; False when the limit, or the disk, is full (then nothing was written)."""
        payload = codec.encode(message)
        kind = _KINDS.index(type(message))
        size = _HEAD.size + len(payload)
        if self.bytes + size > self._max_bytes:
            return False
        record = _HEAD.pack(len(payload), zlib.crc32(payload), ts_recv, kind) + payload
        try:
            file = self._segment()
            file.write(record)
            file.flush()
        except OSError:
            self._close_writer()  # what was half written fails its checksum and is skipped
            return False
        self._written += size
        self.bytes += size
        return True

    def _segment(self) -> BinaryIO:
        if self._writing is None or self._written >= self._segment_bytes:
            self._close_writer()
            self._number += 1
            path = self._folder / f"{self._number:012}.spool"
            self._writing = path.open("ab")
            self._written = 0
            self._segments.append(path)
        return self._writing

    def _close_writer(self) -> None:
        if self._writing is not None:
            self._writing.close()
            self._writing = None

    def take(self) -> tuple[Message, int] | None:
        """The oldest record, or None when there is none. Damaged ones are counted and skipped."""
        while self._segments:
            if self._reading is None:
                self._reading = self._segments[0].open("rb")
            head = self._reading.read(_HEAD.size)
            if len(head) == _HEAD.size:
                length, crc, ts_recv, kind = _HEAD.unpack(head)
                payload = self._reading.read(length)
                if len(payload) == length and zlib.crc32(payload) == crc and kind < len(_KINDS):
                    self.bytes -= _HEAD.size + length
                    try:
                        return codec.decode(_KINDS[kind].__name__, payload), ts_recv
                    except CandlewickError:
                        self.damaged += 1
                        continue
                self.damaged += 1
            elif head:
                self.damaged += 1
            self._drop_segment()
        return None

    def _drop_segment(self) -> None:
        path = self._segments.popleft()
        if self._reading is not None:
            self._reading.close()
            self._reading = None
        if not self._segments:
            self._close_writer()
            self.bytes = 0
        path.unlink(missing_ok=True)

    def close(self) -> None:
        """Keeps what is left for the next start."""
        self._close_writer()
        if self._reading is not None:
            self._reading.close()
            self._reading = None


class SpoolingSink:
    """Stands before a sink: while it is congested, trades and Progress wait in the spool, quotes and books conflate.

    ``drain`` hands over what waits, oldest first, as far as the sink takes it; until then newer trades queue behind.
    Without a spool (``None``) trades go to the sink even when it is congested.
    """

    def __init__(self, sink: Sink, spool: Spool | None) -> None:
        self._sink = sink
        self._spool = spool
        self._newest: dict[tuple[type[Message], str], tuple[Message, int]] = {}
        self.conflated = 0

    def message(self, message: Message, ts_recv: int) -> None:
        spool = self._spool
        if isinstance(message, (TradeBatch, Progress)):
            if spool is None or (spool.is_empty() and not self._sink.is_congested()):
                self._sink.message(message, ts_recv)
            elif not spool.put(message, ts_recv):
                self._overflow(message, ts_recv)
        elif isinstance(message, MarketMessage) and not isinstance(message, GapSuspected):
            if self._sink.is_congested():
                key = type(message), message.symbol
                self.conflated += key in self._newest
                self._newest[key] = message, ts_recv
            else:
                self._newest.pop((type(message), message.symbol), None)
                self._sink.message(message, ts_recv)
        else:
            self._sink.message(message, ts_recv)

    def _overflow(self, message: TradeBatch | Progress, ts_recv: int) -> None:
        if isinstance(message, Progress):
            return  # the next one says more
        c = message.columns_v1
        detail = f"{message.symbol}: {len(c.trade_id)} trades had no room"
        self._sink.nonsense("SPOOL_FULL", detail, b"")
        first, last = int(c.trade_id[0]), int(c.trade_id[-1])
        start_ns, end_ns = int(c.ts_event.min()), int(c.ts_event.max())
        gap = GapSuspected(message.exchange, message.symbol, start_ns, end_ns, "missing_ids", first, last, detail)
        self._sink.message(gap, ts_recv)

    def drain(self) -> None:
        """Hand over what waits while the sink takes it."""
        if self._sink.is_congested():
            return
        for message, ts_recv in self._newest.values():
            self._sink.message(message, ts_recv)
        self._newest.clear()
        for message, ts_recv in self._waiting():
            self._sink.message(message, ts_recv)

    def _waiting(self) -> Iterator[tuple[Message, int]]:
        spool = self._spool
        for _ in range(_DRAIN_AT_ONCE):
            if spool is None or self._sink.is_congested():
                return
            damaged = spool.damaged
            taken = spool.take()
            if spool.damaged != damaged:
                self._sink.nonsense("SPOOL_CORRUPT", "a spooled record was damaged", b"")
            if taken is None:
                return
            yield taken

    def frame(self, ts_recv: int, raw: bytes) -> None:
        self._sink.frame(ts_recv, raw)

    def nonsense(self, code: str, detail: str, raw: bytes) -> None:
        self._sink.nonsense(code, detail, raw)

    def is_congested(self) -> bool:
        return self._sink.is_congested()
