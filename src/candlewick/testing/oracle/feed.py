"""A made-up feed of one symbol with everything that goes wrong on a real one, and a strict way to drive an operator."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from random import Random

import msgspec
import numpy as np

from candlewick.contracts.base import Message, Origin, frozen
from candlewick.contracts.collector import Progress, TradeBatch, TradeColumns, TradeIds
from candlewick.contracts.operators import DeadLetter, Operator
from candlewick.contracts.stream import CandleBatch
from candlewick.contracts.topics import NORMALIZED_OHLCV, OPEN_OHLCV
from candlewick.testing.oracle.candles import Candle, candles_of

NS = 1_000_000_000
START = 1_700_000_000 * NS  # a Tuesday, 22:13:20 UTC


class Tick(msgspec.Struct, frozen=True):
    """One trade on its way."""

    ts: int
    trade_id: int
    price: int
    size: int
    side: int


class Faults(msgspec.Struct, frozen=True):
    """How bad the feed is. Shares are of all trades; times in seconds."""

    jitter: float = 0.0
    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    late_by: float = 300.0
    bad: float = 0.0
    quiet: float = 0.0
    quiet_for: float = 200.0
    silences: int = 0
    progress_every: float = 1.0


def feed(random: Random, trades: int, per_second: float, faults: Faults, start: int = START) -> list[Tick | Progress]:
    """Trades and Progress in the order of arrival."""
    now, price, trade_id = start, 6_000_000, 1000
    arrivals: list[tuple[int, int, Tick]] = []
    for n in range(trades):
        now += int(random.expovariate(per_second) * NS)
        if random.random() < faults.quiet:
            now += int(random.random() * faults.quiet_for * NS)
        price = max(1, price + random.randint(-500, 500))
        trade_id += 1
        if random.random() < faults.lost:
            continue
        tick = Tick(now // 1_000_000 * 1_000_000, trade_id, price, random.randint(1, 10**7), random.randint(0, 2))
        delay = random.random() * faults.jitter
        if random.random() < faults.late:
            delay = random.random() * faults.late_by
        arrivals.append((now + int(delay * NS), n, tick))
        if random.random() < faults.doubled:
            arrivals.append((now + int(random.random() * 2 * faults.late_by * NS), n, tick))
        if random.random() < faults.bad:
            bad = msgspec.structs.replace(tick, **random.choice(({"price": 0}, {"size": -3}, {"ts": 0})))
            arrivals.append((now, n, bad))
    arrivals.sort(key=lambda a: a[:2])
    silences = []
    for _ in range(faults.silences):
        begin = start + int(random.random() * (now - start))
        silences.append((begin, begin + int(random.random() * 150 * NS)))
    out: list[Tick | Progress] = []
    step = int(faults.progress_every * NS)
    said = start + random.randint(0, step)
    last_id = 0
    for at, _, tick in arrivals:
        while step and said <= at:
            alive = not any(a <= said <= b for a, b in silences)
            out.append(Progress("sim", "BTC-USDT", said - int(faults.jitter * NS), last_id, alive))
            said += step
        last_id = max(last_id, tick.trade_id)
        out.append(tick)
    if step:
        out.append(Progress("sim", "BTC-USDT", said + 600 * NS, last_id, True))
    return out


def batch(
    ticks: Sequence[Tick],
    *,
    ids: TradeIds = TradeIds.DENSE,
    aggregated: bool = False,
    origin: Origin = Origin.BUILT,
    times_received: bool = False,
    scales: tuple[int, int] = (2, 8),
) -> TradeBatch:
    """A message of these trades."""

    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return frozen(np.array([getattr(t, name) for t in ticks], np.int64))

    times = column("ts")
    columns = TradeColumns(
        column("trade_id"),
        column("price"),
        column("size"),
        times,
        times,
        frozen(column("side").astype(np.uint8)),
        *scales,
    )
    return TradeBatch("sim", "BTC-USDT", ids, aggregated, origin, times_received, columns)


def cut(
    arrivals: Sequence[Tick | Progress], random: Random, most: int, ids: TradeIds = TradeIds.DENSE
) -> list[Message]:
    """The same arrivals as messages, trades in batches of random sizes up to ``most``."""
    messages: list[Message] = []
    held: list[Tick] = []
    size = random.randint(1, most)
    for one in arrivals:
        if isinstance(one, Tick):
            held.append(one)
        if held and (len(held) == size or not isinstance(one, Tick)):
            messages.append(batch(held, ids=ids))
            held, size = [], random.randint(1, most)
        if not isinstance(one, Tick):
            messages.append(one)
    if held:
        messages.append(batch(held, ids=ids))
    return messages


class NotAsked(AssertionError):
    """An operator looked at a cold entry that it had not asked for."""


class _Strict(Mapping[bytes, bytes | None]):
    def __init__(self, store: dict[bytes, bytes], asked: Sequence[bytes]) -> None:
        self._store, self._asked = store, set(asked)

    def __getitem__(self, name: bytes) -> bytes | None:
        if name not in self._asked and name in self._store:
            raise NotAsked(f"cold entry must be asked for, was {name!r}")
        return self._store.get(name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._asked)

    def __len__(self) -> int:
        return len(self._asked)


class Driven(msgspec.Struct):
    """What came out of an operator, and the state it left."""

    rows: list[Candle]
    open_batches: list[CandleBatch]
    batches: list[CandleBatch]
    dead: list[DeadLetter]
    counters: Counter[str]
    hot: bytes | None
    cold: dict[bytes, bytes]
    largest_hot: int = 0


def drive(operator: Operator, messages: Sequence[Message], started: Driven | None = None) -> Driven:
    """Run messages through an operator, its state in bytes between any two, its cold entries only as asked for."""
    done = started or Driven([], [], [], [], Counter(), None, {})
    for message in messages:
        asked = operator.cold_keys(done.hot, message)
        step = operator.apply(done.hot, message, _Strict(done.cold, asked))
        done.hot = bytes(step.hot)
        done.largest_hot = max(done.largest_hot, len(step.hot))
        for name, value in step.cold.items():
            if value is None:
                done.cold.pop(name, None)
            else:
                done.cold[name] = value
        for output in step.outputs:
            assert isinstance(output.message, CandleBatch)
            if output.topic == NORMALIZED_OHLCV.name:
                done.rows += candles_of(output.message)
                done.batches.append(output.message)
            else:
                assert output.topic == OPEN_OHLCV.name
                done.open_batches.append(output.message)
        done.dead += step.dead_letters
        done.counters.update(step.counters)
    return done
