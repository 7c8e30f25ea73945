"""What is left at the end, read from where it lies: the log, the stores, the groups' positions."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from confluent_kafka import Consumer as KafkaClient
from confluent_kafka import TopicPartition

from candlewick.adapters.candles.postgres import PostgresCandleStore
from candlewick.adapters.candles.sqlite import SqliteCandleStore
from candlewick.adapters.db.postgres import PostgresDatabase
from candlewick.adapters.db.postgres.provisioning import deprovision
from candlewick.adapters.db.sqlite import SqliteDatabase
from candlewick.adapters.log.kafka import KafkaEventLog, KafkaOptions, KafkaTopics
from candlewick.adapters.log.sqlite import SqliteEventLog
from candlewick.app.cluster.urls import role_prefix
from candlewick.app.registry import SERVICES
from candlewick.contracts import codec, topics
from candlewick.contracts.collector import TradeBatch
from candlewick.contracts.stream import CandleBatch
from candlewick.contracts.timeframes import NAMES
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.candles import CandleStore
from candlewick.ports.database import Database
from candlewick.ports.log import EventLog, Position, Record
from candlewick.quant.candles.merge import ARRAYS
from candlewick.quant.candles.values import to_arrays
from candlewick.quant.windows.encoding import view_row
from candlewick.quant.windows.ring import FIELDS
from tools.servers.place import ROOT

Series = tuple[str, str]
#: Consumer groups, what each reads, by their names in the product.
GROUPS: Final = {
    "stream.candles": (topics.RAW_MARKET_DATA.name,),
    "history.candles": (topics.NORMALIZED_OHLCV.name, topics.HISTORY_CANDLES.name),
    "history:collector.gaps": (topics.COLLECTOR_GAPS.name,),
}
#: Topics whose records come through an outbox.
FACTS: Final = (topics.HISTORY_GAPS.name, topics.MARKET_SYMBOLS.name)
_READ: Final = (
    topics.RAW_MARKET_DATA.name, topics.NORMALIZED_OHLCV.name, topics.COLLECTOR_GAPS.name, *FACTS,
    *(topics.dead_letters(one.name) for one in topics.CATALOGUE),
)  # fmt: skip
_LEDGER: Final = "SELECT symbol, start_ns, end_ns, state, trades_missing FROM gaps ORDER BY symbol, start_ns, end_ns"
_PIECES: Final = 2000


@dataclass
class Facts:
    """``candles``: rows of the log by series, in the log's order, all columns. ``views``: the same as a subscriber is
    told. ``stored``: rows of the store by open time. ``trades``: what was accepted, by symbol and id. ``ledger``: the
    rows of the gap ledger. ``said``: (sequence, id) of outbox facts by topic and partition. ``dead``: dead letters.
    ``behind``: places where a group, an inbox or a store does not stand at the end of what it reads."""

    candles: dict[Series, list[tuple[Any, ...]]] = field(default_factory=dict)
    views: dict[Series, list[dict[str, Any]]] = field(default_factory=dict)
    stored: dict[Series, dict[int, tuple[Any, ...]]] = field(default_factory=dict)
    trades: dict[str, dict[int, tuple[Any, ...]]] = field(default_factory=dict)
    ledger: list[tuple[str, int, int, str, int]] = field(default_factory=list)
    said: dict[tuple[str, int], list[tuple[int, str]]] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)
    ends: dict[tuple[str, int], Position] = field(default_factory=dict)


async def embedded(data: Path) -> Facts:
    """Of one process on files that nobody disturbed."""
    log = SqliteEventLog(data, SystemClock())
    database = SqliteDatabase(data / "history/history.db")
    return await _collected(log, SqliteCandleStore(data / "history/candles.db"), database)


async def cluster(addresses: Mapping[str, str], prefix: str) -> Facts:
    """Of the cluster below a prefix, its processes ended."""
    log = KafkaEventLog(addresses["kafka"], SystemClock(), SystemIds(), options=KafkaOptions(prefix=prefix))
    url = urlsplit(addresses["postgres"])._replace(path=f"/{role_prefix(prefix)}history").geturl()
    store, database = PostgresCandleStore(url), PostgresDatabase(url)
    found = await _collected(log, store, database, is_cluster=True)
    found.behind += await asyncio.to_thread(_behind, addresses["kafka"], prefix, found.ends)
    return found


async def wipe(addresses: Mapping[str, str], prefix: str) -> None:
    """Forget what the cluster below a prefix kept, or the next one shares its brokers with a thousand topics."""
    await asyncio.to_thread(KafkaTopics(addresses["kafka"], topics.CATALOGUE, KafkaOptions(prefix=prefix)).delete)
    for name in SERVICES:
        await deprovision(addresses["postgres"], name, prefix=role_prefix(prefix))


async def _collected(log: EventLog, store: CandleStore, database: Any, *, is_cluster: bool = False) -> Facts:
    facts = Facts()
    await log.open()
    await store.open()
    await database.open()
    try:
        await _read_log(log, facts)
        await _read_store(store, facts)
        await _read_database(database, facts)
        if is_cluster:
            await _read_marks(store, database, facts)
    finally:
        await database.close()
        await store.close()
        await log.close()
    return facts


async def _read_log(log: EventLog, facts: Facts) -> None:
    consumer = await log.consumer(_READ, group=None, member="chaos", start="oldest")
    waiting = dict(await consumer.end_positions())
    while waiting:
        for record in await consumer.poll(max_records=_PIECES, timeout_s=1.0):
            place = (record.topic, record.partition)
            facts.ends[place] = record.position
            if place in waiting and record.position >= waiting[place]:
                del waiting[place]
            _take(record, facts)
        if not await consumer.lag():
            break
    await consumer.close()


def _take(record: Record, facts: Facts) -> None:
    if record.topic.endswith(".dead-letters"):
        facts.dead.append(f"{record.topic}: {codec.decode_envelope(record.header).producer}")
        return
    envelope = codec.decode_envelope(record.header)
    if record.topic in FACTS:
        said = facts.said.setdefault((record.topic, record.partition), [])
        said.append((envelope.sequence, envelope.id.hex))
        return
    if record.value is None:
        return
    message = codec.decode(envelope.type, record.value)
    if isinstance(message, TradeBatch):
        columns = message.columns_v1
        kept = facts.trades.setdefault(message.symbol, {})
        rows = zip(columns.trade_id.tolist(), columns.price.tolist(), columns.size.tolist(),
                   columns.ts_event.tolist(), columns.side.tolist(), strict=True)  # fmt: skip
        for trade_id, *rest in rows:
            kept[trade_id] = tuple(rest)
    elif isinstance(message, CandleBatch):
        _take_candles(message, facts)


def _take_candles(message: CandleBatch, facts: Facts) -> None:
    columns = message.columns_v1
    arrays = to_arrays(columns)
    fields = {name: getattr(arrays, name) for name, _ in FIELDS}
    rows = zip(*(getattr(columns, name).tolist() for name in ARRAYS), strict=True)
    for at, row in enumerate(rows):
        series = (message.symbol, NAMES[row[ARRAYS.index("timeframe")]])
        facts.candles.setdefault(series, []).append((*row, columns.price_scale, columns.size_scale))
        view = view_row(fields, at)
        told = {name: getattr(view, name) for name in view.__struct_fields__}
        facts.views.setdefault(series, []).append(told)


async def _read_store(store: CandleStore, facts: Facts) -> None:
    opens = ARRAYS.index("open_time")
    for series in await store.series():
        rows = await store.range(series.exchange, series.symbol, series.timeframe_s, 0, 1 << 62)
        columns = [getattr(rows, name).tolist() for name in ARRAYS]
        facts.stored[series.symbol, NAMES[series.timeframe_s]] = {
            row[opens]: (*row, rows.price_scale, rows.size_scale) for row in zip(*columns, strict=True)
        }


async def _read_database(database: Database, facts: Facts) -> None:
    async with database.reading() as tx:
        rows = await tx.fetch(_LEDGER)
        facts.ledger = [(str(s), int(a), int(b), str(state), int(n)) for s, a, b, state, n in rows]
        left = await tx.fetch_one("SELECT COUNT(*) FROM outbox")
    if left is not None and left[0]:
        facts.behind.append(f"{left[0]} facts still stand in history's outbox")


async def _read_marks(store: CandleStore, database: Database, facts: Facts) -> None:
    """The inbox and the store stand exactly at the last record of what they read."""
    async with database.reading() as tx:
        rows = await tx.fetch("SELECT topic, part, epoch, log_offset FROM inbox_position")
    inbox = {(str(t), int(p)): Position(int(e), int(o)) for t, p, e, o in rows}
    marks = await store.marks()
    for (topic, part), end in facts.ends.items():
        if topic == topics.COLLECTOR_GAPS.name:
            at: Position | None = inbox.get((topic, part))
        elif topic == topics.NORMALIZED_OHLCV.name:
            place = f"{topic}:{part}"
            known = f"{place}:offset" in marks
            at = Position(marks[f"{place}:epoch"], marks[f"{place}:offset"]) if known else None
        else:
            continue
        if at != end:
            facts.behind.append(f"history's inbox of {topic} {part} stands at {at}, the last record is {end}")


def _behind(brokers: str, prefix: str, ends: Mapping[tuple[str, int], Position]) -> list[str]:
    """Places where a group has not committed a position behind the last record."""
    found = []
    for group, names in GROUPS.items():
        client = KafkaClient({"bootstrap.servers": brokers, "group.id": prefix + group, "log_level": 2})
        try:
            places = [TopicPartition(prefix + topic, part) for topic, part in ends if topic in names]
            for one in client.committed(places, timeout=20.0) if places else ():
                end = ends[one.topic.removeprefix(prefix), one.partition]
                if one.offset <= end.offset:
                    found.append(
                        f"group {group} stands at {one.offset} of {one.topic.removeprefix(prefix)} {one.partition}, "
                        f"the last record is {end.offset}"
                    )
        finally:
            client.close()
    return found


async def oracle(recording: Path, folder: Path) -> Facts:
    """What one process on files makes of the recording, undisturbed. Raises RuntimeError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.chaos.oracle", str(recording), str(folder), cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the undisturbed process failed: {err.decode(errors='replace')[-2000:]}")
    return await embedded(folder)
