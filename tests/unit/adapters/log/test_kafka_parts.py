"""The parts of the Kafka log that need no broker."""

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException

from candlewick.adapters._kafka.errors import ClientStopped, KafkaRefused, is_fenced, translated
from candlewick.adapters._kafka.names import Names
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.log.kafka.catalogue import wanted
from candlewick.adapters.log.kafka.epochs import LEDGER, entry, epochs
from candlewick.adapters.log.kafka.writing import Room
from candlewick.contracts.topics import CATALOGUE, NORMALIZED_OHLCV, RAW_MARKET_DATA, UnknownTopic, dead_letters
from candlewick.kernel.errors import Conflict, Fenced, StorageFull
from candlewick.kernel.hashing import partition_of
from candlewick.ports.log import (
    LogCorrupt,
    LogUnavailable,
    MixedKeys,
    NewRecord,
    Position,
    Record,
    RecordTooLarge,
)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._FENCED, Fenced),
        (KafkaError.FENCED_INSTANCE_ID, Fenced),
        (KafkaError.UNKNOWN_MEMBER_ID, Fenced),
        (KafkaError.INVALID_PRODUCER_EPOCH, Fenced),
        (KafkaError.MSG_SIZE_TOO_LARGE, RecordTooLarge),
        (KafkaError._BAD_MSG, LogCorrupt),
        (KafkaError.KAFKA_STORAGE_ERROR, StorageFull),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaRefused),
        (KafkaError._MSG_TIMED_OUT, LogUnavailable),
        (KafkaError.NOT_ENOUGH_REPLICAS, LogUnavailable),
        (KafkaError._ALL_BROKERS_DOWN, LogUnavailable),
    ],
)
def test_the_clients_errors_are_the_kernels_kinds(code, kind):
    error = KafkaException(KafkaError(code))
    told = translated(error, "writing")
    assert type(told) is kind
    assert str(told).startswith("writing failed")
    assert is_fenced(error) is (kind is Fenced)


def test_a_client_that_cannot_go_on_stops_its_unit():
    told = translated(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "lost its place", fatal=True), "writing")
    assert type(told) is ClientStopped
    assert type(translated(KafkaError(KafkaError._FENCED, "fenced", fatal=True), "writing")) is Fenced


def test_other_errors_come_back_as_they_are():
    error = ValueError("mine")
    assert translated(error, "writing") is error


def _entry(offset: int, name: str, value: bytes | None) -> Record:
    return Record(LEDGER, 0, Position(0, offset), name, value, b"", 0)


def test_the_first_to_enter_a_topics_life_is_believed():
    records = [
        _entry(0, "a", entry("life-1", 10)),
        _entry(1, "a", entry("life-2", 20)),
        _entry(2, "a", entry("life-2", 21)),
        _entry(3, "b", entry("life-2", 30)),
        _entry(4, "b", None),
    ]
    assert epochs(records, {"a": "life-2", "b": "life-9"}) == {"a": 20}
    with pytest.raises(Conflict, match="at 7"):
        epochs([_entry(7, "a", b"not ours")], {"a": "life-1"})


def test_a_record_goes_where_its_key_says_behind_the_prefix():
    names = Names(CATALOGUE, "mine.")
    record = NewRecord(RAW_MARKET_DATA.name, "binance:BTC-USDT", b"", b"", 0)
    for _ in range(2):
        assert names.place(record) == ("mine.raw.market-data", partition_of(record.key, 30))
    assert names.here("mine.raw.market-data") == RAW_MARKET_DATA.name
    assert names.partitions(dead_letters(NORMALIZED_OHLCV.name)) == 1, "few, and read by people"
    with pytest.raises(MixedKeys):
        names.place(NewRecord(RAW_MARKET_DATA.name, "", b"", b"", 0))
    with pytest.raises(UnknownTopic):
        names.place(NewRecord("nobody's", "a:b", b"", b"", 0))


@pytest.mark.parametrize(("brokers", "replicas", "needed"), [(1, 1, "1"), (2, 2, "1"), (3, 3, "2"), (5, 3, "2")])
def test_the_catalogues_topics_on_so_many_brokers(brokers, replicas, needed):
    found = {topic.name: topic for topic in wanted(CATALOGUE, brokers, KafkaOptions())}
    assert {(topic.replicas, topic.settings["min.insync.replicas"]) for topic in found.values()} == {(replicas, needed)}
    raw, ohlcv = found["raw.market-data"], found["normalized.ohlcv"]
    assert (raw.partitions, raw.settings["retention.ms"]) == (30, str(7 * 86_400_000))
    assert (ohlcv.partitions, ohlcv.settings["retention.ms"]) == (60, str(30 * 86_400_000))
    assert (found["market.symbols"].settings["cleanup.policy"], found[LEDGER].settings["retention.ms"]) == (
        "compact",
        "-1",
    )
    assert found["market.symbols.dead-letters"].settings["cleanup.policy"] == "delete"


async def test_room_is_given_in_the_order_it_was_asked_for():
    room, begun = Room(100), []

    def ask(name: str, size: int) -> asyncio.Task[None]:
        return asyncio.create_task(room.enter(size, lambda: begun.append(name)))

    first, second, third, fourth = ask("a", 99), ask("b", 99), ask("c", 10), ask("d", 1)
    await asyncio.sleep(0)
    assert begun == ["a", "b"], "one call may go over the bound"
    third.cancel()
    await asyncio.wait({third})
    room.leave(99)
    await asyncio.gather(first, second, fourth)
    assert begun == ["a", "b", "d"], "who gave up is passed over"
    assert room.used == 100
    fifth = ask("e", 1)
    await asyncio.sleep(0)
    room.refuse(LogUnavailable("closed"))
    with pytest.raises(LogUnavailable):
        await fifth
