"""A log full of trades for the stream runtime, and what must come out of it. Run as a program it is a victim to kill.

    python stream_world.py DATA_DIR MEMBER STEP COUNT MAX_RECORDS

processes until caught up, and ends itself with SIGKILL when STEP is met for the COUNT-th time (0: never).
"""

import asyncio
import os
import signal
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec

from candlewick.adapters._sqlite.logfile import LogFile, WriteRequest
from candlewick.adapters.stream.sqlite import SqliteStreamRuntime
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope, Message
from candlewick.contracts.stream import CandleBatch
from candlewick.kernel.ids import uuid7
from candlewick.kernel.system import SystemClock
from candlewick.quant.candles.operator import CandleOperator
from candlewick.testing.oracle.candles import Candle, CandleOracle, candles_of
from candlewick.testing.oracle.feed import START, Faults, cut, feed

KEYS = ("AAA-USDT", "BBB-USDT", "CCC-USDT")
OPERATOR_STEPS = ("read", "decoded", "applied", "submitting", "submitted", "committed")
WRITER_STEPS = ("taken", "begun", "appending", "committing", "committed", "told")


def story(seed: int, trades: int = 250) -> list[Message]:
    """Messages of several symbols, mixed; each with late trades, silences and gaps."""
    random = Random(seed)
    queues = []
    for symbol in KEYS:
        arrivals = feed(random, trades, 2.0, Faults(1.5, 0.002, 0.02, 0.02, 200.0, 0.01, 0.01, 300.0, 2), START)
        messages = cut(arrivals, random, 12)
        queues.append([msgspec.structs.replace(m, symbol=symbol) for m in messages])  # type: ignore[type-var]
    mixed: list[Message] = []
    while any(queues):
        queue = random.choice([q for q in queues if q])
        mixed.append(queue.pop(0))
    return mixed


def write(file: LogFile, messages: list[Message]) -> None:
    """Into raw.market-data, as the collector does."""
    appends = []
    for n, message in enumerate(messages):
        envelope = Envelope(uuid7(n + 1, n), type(message).__name__, START, START, message.key, "collector")
        number = file.number("raw.market-data", message.key)
        appends.append((number, message.key, codec.encode_envelope(envelope), codec.encode(message)))
    file.write(WriteRequest(appends=appends))


def expected(messages: list[Message]) -> dict[str, list[Candle]]:
    """What the oracle says, by key."""
    oracles: dict[str, CandleOracle] = defaultdict(CandleOracle)
    for message in messages:
        oracles[message.key].feed([message])
    return {key: oracle.sorted_rows() for key, oracle in oracles.items()}


def found(folder: Path) -> dict[str, list[Candle]]:
    """The rows in normalized.ohlcv, by key; no output may be there twice."""
    out: dict[str, list[Candle]] = defaultdict(list)
    ids = []
    with sqlite3.connect(folder / "log.db") as connection:
        sql = """SELECT key, header, value FROM record JOIN topic ON topic.topic = log >> 10
                 WHERE name = 'normalized.ohlcv' ORDER BY id"""
        for key, header, value in connection.execute(sql):
            ids.append(codec.decode_envelope(header).id)
            message = codec.decode("CandleBatch", value)
            assert isinstance(message, CandleBatch)
            assert message.key == key
            out[key] += candles_of(message)
    connection.close()
    assert len(set(ids)) == len(ids)
    return {key: sorted(rows) for key, rows in out.items()}


class Bomb:
    """Calls ``burst`` when a step is met for the n-th time."""

    def __init__(self, step: str, count: int, burst: Callable[[], None]) -> None:
        self.step, self.left, self.burst = step, count, burst

    def __call__(self, step: str) -> None:
        if step == self.step and self.left > 0:
            self.left -= 1
            if self.left == 0:
                self.burst()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _main(folder: Path, member: str, where: str, step: str, count: int, max_records: int) -> None:
    bomb = Bomb(step, count, _die)
    file = LogFile(folder, SystemClock(), on_step=bomb if where == "writer" else None)
    file.open()
    failures: list[BaseException] = []
    runtime = SqliteStreamRuntime(
        file,
        clock=SystemClock(),
        member=member,
        max_records=max_records,
        on_step=bomb if where == "operator" else (lambda _: None),
    )
    await runtime.start(CandleOperator(), on_failure=failures.append)
    await runtime.caught_up()
    await runtime.stop()
    file.close()
    if failures:
        raise failures[0]


if __name__ == "__main__":
    place, step = sys.argv[3].split(".")
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2], place, step, int(sys.argv[4]), int(sys.argv[5])))
