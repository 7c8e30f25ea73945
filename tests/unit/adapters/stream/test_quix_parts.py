"""Parts of the runtime on Quix Streams that need no broker: what it touches of Quix's own, and bytes in its store."""

import importlib
import inspect
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import quixstreams
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException
from quixstreams import Application
from quixstreams.kafka.exceptions import KafkaProducerDeliveryError
from quixstreams.state.exceptions import ChangelogTopicPartitionNotAssigned
from quixstreams.state.rocksdb.partition import RocksDBStorePartition

from candlewick.adapters._kafka.admin import Admin
from candlewick.adapters._kafka.names import Names
from candlewick.adapters._kafka.options import KafkaOptions
from candlewick.adapters.stream.quix import StreamOptions
from candlewick.adapters.stream.quix.engine import PRIVATE, Engine, bare
from candlewick.adapters.stream.quix.options import changelog_of
from candlewick.adapters.stream.quix.restoring import incomplete
from candlewick.adapters.stream.quix.state import Files, StateCorrupt, StoredKey
from candlewick.adapters.stream.quix.worker import Worker
from candlewick.kernel.system import SystemClock
from candlewick.ports.stream import StreamStats
from candlewick.testing.conformance.stream_harness import TOPICS, Tally, said


class Kept:
    """Entries of one key, as Quix's state gives them."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}

    def get_bytes(self, key: bytes) -> bytes | None:
        return self.entries.get(key)

    def set_bytes(self, key: bytes, value: bytes) -> None:
        self.entries[key] = value

    def delete(self, key: bytes) -> None:
        self.entries.pop(key, None)


@pytest.mark.parametrize("where", sorted(PRIVATE))
def test_what_is_touched_of_quix_is_where_it_was(where: str) -> None:
    """A new version is taken only after each of these was looked at again."""
    assert quixstreams.__version__ == "3.28.1"
    module, _, name = where.rpartition(".")
    owner = getattr(importlib.import_module(module), name)
    source = "".join(inspect.getsource(base) for base in owner.__mro__ if base.__module__.startswith("quixstreams"))
    for attribute in PRIVATE[where]:
        assert hasattr(owner, attribute) or f"self.{attribute}" in source, f"{where}.{attribute}"


def test_quix_calls_what_is_changed() -> None:
    """Each changed method is asked for by the one that runs."""
    run = inspect.getsource(quixstreams.Application.run) + inspect.getsource(quixstreams.Application._run_dataframe)
    for name in ("_setup_signal_handlers", "_exception_handler", "_on_assign", "_on_lost", "do_recovery"):
        assert f".{name}" in run, name
        assert name == "do_recovery" or name in vars(Engine)
    assert list(inspect.signature(quixstreams.Application._on_assign).parameters)[2:] == ["topic_partitions"]
    assert list(inspect.signature(quixstreams.Application._on_lost).parameters)[2:] == ["topic_partitions"]


def test_only_a_state_behind_its_changelog_is_restored() -> None:
    """[record 7][mark 8] and the end at 9: nothing is missing. One entry more may be another commit's record."""
    new, whole, behind, ahead = (
        SimpleNamespace(offset=offset, _changelog_highwater=9) for offset in (OFFSET_BEGINNING, 7, 6, 9)
    )
    assert incomplete([new, whole, behind, ahead]) == [new, behind, ahead]
    assert incomplete([SimpleNamespace(offset=OFFSET_BEGINNING, _changelog_highwater=0)]) != []


class Stores:
    """A manager with one store whose partitions cannot be closed."""

    def __init__(self) -> None:
        self.stores = {"input": {"default": self}}

    def create_new_partition(self, partition: int) -> "Stores":
        self._db, self._cf_cache, self._cf_handle_cache = object(), {"x": 1}, {"x": 1}
        return self


def test_files_are_let_go_of() -> None:
    stores = Stores()
    files = Files(stores)
    made = stores.create_new_partition(0)
    assert made._db is not None
    files.release()
    assert made._db is None
    assert not made._cf_cache
    assert not made._cf_handle_cache


def test_entries_of_a_key() -> None:
    kept = Kept()
    key = StoredKey(kept)
    assert key.hot() is None
    key.put(b"state", {b"a": b"1", b"b": None})
    assert key.hot() == b"state"
    assert key.cold([b"a", b"b"]) == {b"a": b"1", b"b": None}
    key.put(b"", {b"a": None})
    assert key.hot() == b""
    assert key.cold([b"a"]) == {b"a": None}
    kept.entries[b"h"] = b"\x07state"
    with pytest.raises(StateCorrupt, match="x07state"):
        key.hot()


@pytest.mark.parametrize("has_format", [True, False])
def test_a_state_that_looks_like_a_time_is_restored_as_it_was(tmp_path: Path, has_format: bool) -> None:
    """Quix strips what could be a time of expiry from a store restored from nothing; the format byte forbids it."""
    looks = struct.pack(">Q", 1_700_000_000_000) + b"the rest of a state"
    kept = Kept()
    StoredKey(kept).put(looks, {})
    stored = kept.entries[b"h"] if has_format else looks
    partition = RocksDBStorePartition(str(tmp_path / "0"))
    partition.recover_from_changelog_message(cf_name="default", key=b"k|h", value=stored, offset=0)
    partition.complete_recovery()
    transaction = partition.begin()
    found = transaction.get_bytes(b"k|h", prefix=b"")
    partition.close()  # type: ignore[no-untyped-call]
    assert (found == stored) is has_format


def test_the_changelog_has_the_prefix_in_front() -> None:
    assert changelog_of("dev.stream.candles", "dev.raw.market-data") == "dev.stream.candles--dev.raw.market-data--state"


def test_what_lies_under_quix_exceptions() -> None:
    error = KafkaError(KafkaError._FENCED)
    assert bare(KafkaProducerDeliveryError(error)).args[0] is error
    inner, outer = ValueError("inner"), RuntimeError("outer")
    outer.__cause__ = inner
    assert bare(outer) is inner
    outer.__cause__ = KafkaException(error)
    assert bare(outer) is outer.__cause__


def test_a_commit_that_was_given_up_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    """Quix gives one up without an error when partitions go and the brokers are slow; its outputs are another's."""
    options = KafkaOptions(prefix="p.")
    worker = Worker(
        Tally(),
        brokers="127.0.0.1:1",
        admin=Admin("127.0.0.1:1", options),
        names=Names(TOPICS, options.prefix),
        options=options,
        stream=StreamOptions(),
        group="p.stream.tally",
        member="m",
        state_dir=tmp_path,
        inputs={"p.suite.input": 4},
        clock=SystemClock(),
        suffix="",
        producer="stream",
        on_step=lambda _: None,
        on_failure=lambda _: None,
        on_trouble=lambda _: None,
        stats=StreamStats(),
    )
    produced: list[str] = []

    def produce(topic: str, value: bytes, key: str, headers: object, partition: int) -> None:
        produced.append(f"{topic} {key}")

    for offset, one in enumerate(said("A-USDT", 1) + said("B-USDT", 1)):
        headers = [("envelope", one.header)]
        worker.take("p.suite.input", 0, offset, one.key.encode(), one.value, headers, Kept())
        worker.ending(produce)
        if offset == 0:
            produced.clear()
    assert [name.partition(" ")[2] for name in produced] == ["suite:B-USDT"] * 3
    worker.committed()
    assert (worker.stats.messages, worker.stats.outputs) == (1, 3)


@pytest.mark.parametrize(("error", "leaves"), [(ChangelogTopicPartitionNotAssigned("x"), True), (OSError("y"), False)])
def test_a_member_whose_share_lacks_a_changelog_leaves_to_be_given_another(monkeypatch, error, leaves) -> None:
    """A static member that only comes again is handed the same share for ever: seen on brokers that had not all heard
    of a new changelog when the first share was made."""

    class Client:
        left = False

        def unsubscribe(self) -> None:
            self.left = True

        def memberid(self) -> str:
            return ""

    engine = Engine.__new__(Engine)
    consumer: Any = SimpleNamespace(_consumer=Client())
    engine._consumer = consumer
    engine._is_left = False
    monkeypatch.setattr(Application, "_exception_handler", lambda *_: False)
    assert engine._exception_handler(type(error), error, None) is False
    assert consumer._consumer.left is leaves
