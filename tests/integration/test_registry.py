"""Schemas in a real registry: ids in headers, an incompatible producer stopped, older and newer side by side."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient, dual_schema_id_deserializer
from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from candlewick.adapters.log.kafka import KafkaEventLog
from candlewick.adapters.schemas.registry import SchemaRegistration, SchemaRegistry
from candlewick.app.cli import main as cli
from candlewick.contracts import codec
from candlewick.contracts.base import Envelope
from candlewick.contracts.codec import SCHEMA_FILES
from candlewick.contracts.collector import Progress
from candlewick.contracts.market import Instrument, SymbolAdded, SymbolDeleted
from candlewick.contracts.proto_text import parse
from candlewick.contracts.schemas import SCHEMA_HEADER, schema_id_of, subjects
from candlewick.contracts.topics import CATALOGUE, MARKET_SYMBOLS, RAW_MARKET_DATA
from candlewick.kernel.hashing import partition_of
from candlewick.kernel.system import SystemClock, SystemIds
from candlewick.ports.log import NewRecord
from candlewick.ports.schemas import RegistryRefused, RegistryUnavailable, SchemaIncompatible
from candlewick.testing import servers
from tests.kafka import BROKERS, needs_kafka, own_topics

URL = servers.address("registry")
pytestmark = pytest.mark.skipif(URL is None, reason=servers.why_not("registry") or "there")
SYMBOLS, MARKET_DATA = "candlewick/market/v1/symbols.proto", "candlewick/collector/v1/market_data.proto"
ENVELOPE = "candlewick/kernel/v1/envelope.proto"
Edit = Callable[..., SchemaRegistry]


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def _keep(self, text: str, **more: object) -> None:
        self.lines.append((text, more))

    warning = error = info = _keep


@pytest.fixture
def prefix() -> Iterator[str]:
    """Before every subject of a test; they leave with it."""
    prefix = f"test-{SystemIds().new().hex[-12:]}."
    yield prefix
    with httpx.Client(base_url=str(URL), timeout=10) as client:
        mine = [name for name in client.get("/subjects").json() if name.startswith(prefix)]
        # What others import goes last: first topics, then the files that import one, then the rest.
        files = [prefix + "candlewick/stream/v1/candles.proto", prefix + ENVELOPE]
        for name in sorted(mine, key=lambda one: files.index(one) if one in files else -1):
            for how in ("", "?permanent=true"):
                client.delete(f"/subjects/{quote(name, safe='')}{how}")


@pytest.fixture
async def version(prefix: str) -> AsyncIterator[Edit]:
    """A registry seen by a version whose schemas differ by an edit: (file, was, becomes)."""
    made: list[SchemaRegistry] = []

    def of(*edits: tuple[str, str, str]) -> SchemaRegistry:
        texts = dict(SCHEMA_FILES)
        for file, was, becomes in edits:
            assert was in texts[file]
            texts[file] = texts[file].replace(was, becomes)
        made.append(SchemaRegistry(str(URL), prefix=prefix, text_of=texts.__getitem__))
        return made[-1]

    yield of
    for one in made:
        await one.close()


def _envelope(type_name: str) -> bytes:
    return codec.encode_envelope(Envelope(SystemIds().new(), type_name, 1, 2, "a:b", "market"))


def _instrument() -> Instrument:
    return Instrument("binance", "BTC-USDT", "BTCUSDT", "BTC", "USDT", "0.01", "0.00001", 2, 5)


async def _asked(path: str) -> dict[str, object] | list[object]:
    async with httpx.AsyncClient(base_url=str(URL), timeout=5) as client:
        found = await client.get(path)
        assert found.status_code == 200, found.text
        answer: dict[str, object] | list[object] = found.json()
        return answer


async def test_every_message_gets_a_subject_backward_compatible_with_its_imports(version: Edit, prefix: str) -> None:
    registry = version()
    before = await registry.check(CATALOGUE)
    assert {one.state for one in before} == {"new"}
    header = await registry.register(CATALOGUE)
    for subject in subjects(CATALOGUE):
        assert header(subject.topic, _envelope(subject.type_name)) is not None
        assert header(f"{subject.topic}.dead-letters", _envelope(subject.type_name)) is not None
    assert header("raw.book", _envelope("SymbolAdded")) is None
    assert header("raw.book", b"") is None
    assert {one.state for one in await registry.check(CATALOGUE)} == {"same"}
    assert len(before) == len(subjects(CATALOGUE)) + 2, "the files that others import have subjects too"

    name = f"{prefix}raw.market-data-candlewick.collector.v1.TradeBatch"
    newest = await _asked(f"/subjects/{name}/versions/latest")
    assert isinstance(newest, dict)
    assert newest["schema"] == SCHEMA_FILES[MARKET_DATA]
    assert newest["references"] == [{"name": ENVELOPE, "subject": prefix + ENVELOPE, "version": 1}]
    assert await _asked(f"/config/{name}") == {"compatibilityLevel": "BACKWARD"}
    again = await registry.register(CATALOGUE)
    assert again("raw.market-data", _envelope("Progress")) == header("raw.market-data", _envelope("Progress"))
    assert await _asked(f"/subjects/{name}/versions") == [1]


@pytest.mark.parametrize("message", [SymbolDeleted("binance", "BTC-USDT"), SymbolAdded(_instrument())])
async def test_a_confluent_client_reads_our_records_by_their_header(version: Edit, message: SymbolAdded) -> None:
    """Payload bytes are the plain message [11]; the header alone names its schema."""
    header = await version().register([MARKET_SYMBOLS])
    kind = type(message).__name__
    named = header("market.symbols", _envelope(kind))
    assert named is not None
    context = SerializationContext("market.symbols", MessageField.VALUE, [(SCHEMA_HEADER, named)])
    found = SchemaId("PROTOBUF")
    rest = dual_schema_id_deserializer(codec.encode(message), context, found)
    assert codec.decode(kind, rest.read()) == message
    assert found.id == schema_id_of(named)
    client = SchemaRegistryClient({"url": str(URL), "timeout": 5})
    schema = await asyncio.to_thread(client.get_schema, found.id)
    places = parse(str(schema.schema_str)).outermost
    assert [places[at] for at in found.message_indexes or ()] == [f"candlewick.market.v1.{kind}"]


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("string status = 10;", "int64 status = 10;", "Instrument.status (10) was string and is int64"),
        ("string base = 4;", "", "Instrument.base (4) was removed without being reserved"),
        ("string base = 4;", "string base = 14;", "Instrument.base was renumbered from 4 to 14"),
        ("string base = 4;", "string base_asset = 4;", "number 4 was base and is put to a new use as base_asset"),
        ("string base = 4;", "repeated string base = 4;", "base (4) was string and is repeated string"),
        ("message SymbolUpdated { Instrument instrument = 1; }", "", "message candlewick.market.v1.SymbolUpdated was"),
    ],
    ids=["retyped", "removed", "renumbered", "renamed", "repeated", "message removed"],
)
async def test_an_incompatible_producer_is_stopped_at_start_with_the_field(
    version: Edit, was: str, becomes: str, says: str
) -> None:
    await version().register([MARKET_SYMBOLS])
    other = version((SYMBOLS, was, becomes))
    registration = SchemaRegistration(other, [MARKET_SYMBOLS], SystemClock(), Log())
    with pytest.raises(SchemaIncompatible) as refused:
        await registration.open()
    assert refused.value.code == "SCHEMA_INCOMPATIBLE"
    assert says in str(refused.value)
    assert "market.symbols-candlewick.market.v1.SymbolAdded" in str(refused.value)
    states = await other.check([MARKET_SYMBOLS])
    assert {one.state for one in states if "symbols" in one.subject} == {"incompatible"}


async def test_a_changed_column_layout_is_refused_although_protobuf_would_take_it(version: Edit) -> None:
    await version().register([RAW_MARKET_DATA])
    added = "  candlewick.kernel.v1.Column side = 6;", "  candlewick.kernel.v1.Column side = 6;\n  Progress more = 7;"
    with pytest.raises(SchemaIncompatible, match="TradeColumnsV1 is a column layout and more was added"):
        await version((MARKET_DATA, *added)).register([RAW_MARKET_DATA])


async def test_what_only_the_registry_finds_is_told_in_its_words(version: Edit, prefix: str) -> None:
    """A newer version of somebody else's took a number; ours knows neither that nor the newest one's name for it."""
    await version().register([MARKET_SYMBOLS])
    name = f"{prefix}market.symbols-candlewick.market.v1.SymbolAdded"
    answer = 409, {"error_code": 409, "message": "taken by version 1"}

    async def answers(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/versions"):
            return httpx.Response(answer[0], json=answer[1])
        return httpx.Response(404, json={"error_code": 40401, "message": "no such subject"}) if request.method in (
            "GET", "POST"
        ) and "subjects" in request.url.path else httpx.Response(200, json={"compatibility": "BACKWARD"})  # fmt: skip

    registry = SchemaRegistry("http://there", transport=httpx.MockTransport(answers))
    with pytest.raises(SchemaIncompatible, match="taken by version 1"):
        await registry.register([MARKET_SYMBOLS])
    await registry.close()
    assert await _asked(f"/subjects/{name}/versions") == [1]


async def test_old_and_new_producers_run_side_by_side(version: Edit) -> None:
    """Rolling upgrade: the new version registers, and the old one starts once more."""
    more = (SYMBOLS, "string status = 10;     // trading", "string status = 10;\n  string margin = 11;  // trading")
    first = (SYMBOLS, "message Instrument {", "message Listing { string at = 1; }\n\nmessage Instrument {")
    old, new = version(), version(more, first)
    was = await old.register([MARKET_SYMBOLS])
    becomes = await new.register([MARKET_SYMBOLS])
    again = await old.register([MARKET_SYMBOLS])
    asked = "market.symbols", _envelope("SymbolAdded")
    assert again(*asked) == was(*asked) != becomes(*asked)
    assert {one.state for one in await old.check([MARKET_SYMBOLS])} == {"same"}
    assert {one.state for one in await version(more).check([MARKET_SYMBOLS])} == {"same", "incompatible"}


async def test_a_file_that_others_import_may_grow(version: Edit, prefix: str) -> None:
    await version().register([RAW_MARKET_DATA])
    grown = (ENVELOPE, "  DTYPE_UINT8 = 4;", "  DTYPE_UINT8 = 4;\n  DTYPE_FLOAT64 = 5;")
    header = await version(grown).register([RAW_MARKET_DATA])
    named = header("raw.market-data", _envelope("Progress"))
    assert named is not None
    found = await _asked(f"/schemas/ids/{schema_id_of(named)}")
    assert isinstance(found, dict)
    assert found["references"] == [{"name": ENVELOPE, "subject": prefix + ENVELOPE, "version": 2}]
    await version().register([RAW_MARKET_DATA])


async def test_a_message_with_an_unknown_newer_field_is_read() -> None:
    text = SCHEMA_FILES[MARKET_DATA].replace(
        "  bool feed_alive = 5;", "  bool feed_alive = 5;\n  string source = 6;\n  TradeColumnsV1 more = 7;"
    )
    with tempfile.TemporaryDirectory() as folder:
        for file, content in {**SCHEMA_FILES, MARKET_DATA: text}.items():
            path = Path(folder, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        out = Path(folder, "newer.binpb")
        assert not protoc.main(
            ["protoc", f"-I{folder}", "--include_imports", f"--descriptor_set_out={out}", MARKET_DATA]
        )
        pool = descriptor_pool.DescriptorPool()
        for one in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
            pool.Add(one)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("candlewick.collector.v1.Progress"))
    newer: Any = kind(
        exchange="binance", symbol="BTC-USDT", complete_through=7, last_id=8, feed_alive=True, source="spare"
    )
    newer.more.price.count = 3
    assert codec.decode("Progress", newer.SerializeToString()) == Progress("binance", "BTC-USDT", 7, 8, True)


async def test_a_producer_starts_without_the_registry_and_registers_later(prefix: str) -> None:
    log, away = Log(), True

    async def answers(request: httpx.Request) -> httpx.Response:
        if away:
            raise httpx.ConnectError("refused")
        async with httpx.AsyncClient(timeout=5) as client:
            there = await client.request(
                request.method, str(URL) + request.url.raw_path.decode(), content=request.content, headers={
                    "content-type": "application/json"
                },
            )  # fmt: skip
        return httpx.Response(there.status_code, content=there.content)

    registry = SchemaRegistry("http://there", prefix=prefix, transport=httpx.MockTransport(answers))
    registration = SchemaRegistration(registry, [MARKET_SYMBOLS], SystemClock(), log)
    assert not await registration.open()
    assert log.lines[0][1]["code"] == "REGISTRY_UNAVAILABLE"
    assert "cannot be reached" in (await registration.check() or "")
    running = asyncio.create_task(registration.run())
    await asyncio.sleep(0.1)
    assert registration.header("market.symbols", _envelope("SymbolAdded")) is None
    away = False
    async with asyncio.timeout(60):
        await running
    assert registration.header("market.symbols", _envelope("SymbolAdded")) is not None
    assert await registration.check() is None
    assert log.lines[-1][0].endswith("goes on")
    await registration.close()


async def test_a_registry_that_hangs_is_as_one_that_is_away(prefix: str) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    registry = SchemaRegistry(url, prefix=prefix, timeout_s=0.2)
    async with asyncio.timeout(2):
        with pytest.raises(RegistryUnavailable, match="cannot be reached"):
            await registry.register([MARKET_SYMBOLS])
    await registry.close()
    server.close()


async def test_what_answers_but_is_no_registry_is_told(prefix: str) -> None:
    for reply in (httpx.Response(401, json={"message": "who are you"}), httpx.Response(200, text="<html>")):
        registry = SchemaRegistry(
            "http://user:secret@there", transport=httpx.MockTransport(lambda _, reply=reply: reply)
        )
        with pytest.raises(RegistryRefused) as told:
            await registry.check([MARKET_SYMBOLS])
        assert "secret" not in str(told.value)
        await registry.close()


@needs_kafka
@pytest.mark.slow
async def test_records_on_kafka_name_their_schema_beside_their_envelope(version: Edit) -> None:
    header = await version().register([MARKET_SYMBOLS])
    with own_topics((MARKET_SYMBOLS,)) as (topics, options):
        topics.apply()
        naming = replace(options, schema_header=header)
        log = KafkaEventLog(str(BROKERS), SystemClock(), SystemIds(), topics=(MARKET_SYMBOLS,), options=naming)
        await log.open()
        message, envelope = SymbolAdded(_instrument()), _envelope("SymbolAdded")
        sent = NewRecord(MARKET_SYMBOLS.name, message.key, codec.encode(message), envelope, 0)
        unnamed = NewRecord(MARKET_SYMBOLS.name, message.key, b"", b"", 0)
        await (await log.producer("market")).send([sent, unnamed])
        reader = Consumer({"bootstrap.servers": str(BROKERS), "group.id": options.prefix, "log_level": 2})
        place = partition_of(message.key, MARKET_SYMBOLS.partitions)
        reader.assign([TopicPartition(options.prefix + MARKET_SYMBOLS.name, place, 0)])
        found = await asyncio.to_thread(reader.consume, 2, 10)
        reader.close()
        assert found[0].headers() == [("envelope", envelope), (SCHEMA_HEADER, header(sent.topic, envelope))]
        assert found[0].value() == codec.encode(message)
        assert found[1].headers() == [("envelope", b"")]
        await log.close()


async def test_two_processes_register_at_once(version: Edit) -> None:
    one, other = await asyncio.gather(*(version().register([MARKET_SYMBOLS]) for _ in range(2)))
    asked = "market.symbols", _envelope("SymbolAdded")
    assert one(*asked) == other(*asked)


def test_the_command_registers_and_shows(prefix: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rest = ["--registry", str(URL), "--data-dir", str(tmp_path), "--set", f"cluster.prefix={prefix}"]
    assert cli.main(["schemas", "check", *rest]) == 0
    assert (
        f"not registered {' ' * 31} {prefix}market.symbols-candlewick.market.v1.SymbolAdded" in capsys.readouterr().out
    )
    assert cli.main(["schemas", "register", "--json", *rest]) == 0
    out = capsys.readouterr().out
    assert out.count('"state":"same"') == len(subjects(CATALOGUE)) + 2
    assert cli.main(["schemas", "check", "--data-dir", str(tmp_path)]) == 1
    assert "REGISTRY_NOT_NAMED" in capsys.readouterr().err
