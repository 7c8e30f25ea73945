"""Our reading of schema texts agrees with the compiler's, and our comparison with the build's schema checker."""

import shutil
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from candlewick.contracts.base import Envelope
from candlewick.contracts.codec import PROTO_OF, SCHEMA_FILES, encode_envelope
from candlewick.contracts.proto_text import BadSchemaText, Field, faults, parse
from candlewick.contracts.schemas import SchemaHeaders, schema_header, schema_id_of, subjects
from candlewick.contracts.topics import CATALOGUE
from candlewick.kernel.system import SystemIds
from tools import check_proto
from tools.gen_proto import PROTO

RICH = """
syntax = "proto3"; /* a comment
over lines */ package a.b;
import public "x/y.proto"; option java_package = "{;}";
service Asked { rpc Ask (M) returns (M) { option (o) = { a: 1 }; } }
message M {
  option deprecated = true;
  reserved 4, 8 to 10, 100 to max; reserved "gone", 'old';
  enum E { E_NONE = 0; E_LESS = -1 [deprecated = true]; reserved 7; }
  message N { E e = 1; M m = 2; .a.b.M full = 3; other.T t = 4; }
  optional int32 x = 0x10 [deprecated = true, json_name = "ex"]; // behind
  map<string, N> by_name = 2;
  oneof one_of { string left = 3; N right = 5; }
  repeated N many = 6;;
}
"""


def test_law_11_the_texts_declare_what_the_compiler_makes_of_them() -> None:
    kinds = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}
    for file in check_proto.descriptor_set().file:
        text = parse(SCHEMA_FILES[file.name])
        assert text.package == file.package
        assert list(text.imports) == list(file.dependency)
        assert list(text.outermost) == [f"{file.package}.{message.name}" for message in file.message_type]
        for message in file.message_type:
            found = {(one.name, one.number, one.type) for one in text.messages[f"{file.package}.{message.name}"].fields}
            assert found == {(f.name, f.number, f.type_name.lstrip(".") or kinds[f.type]) for f in message.field}
        for enum in file.enum_type:
            assert text.enums[f"{file.package}.{enum.name}"] == {value.name: value.number for value in enum.value}


def test_everything_a_schema_may_hold_is_read() -> None:
    text = parse(RICH)
    assert (text.package, text.imports, text.outermost) == ("a.b", ("x/y.proto",), ("a.b.M",))
    assert text.enums == {"a.b.M.E": {"E_NONE": 0, "E_LESS": -1}}
    assert [str(one) for one in text.messages["a.b.M.N"].fields] == ["a.b.M.E", "a.b.M", "a.b.M", "other.T"]
    message = text.messages["a.b.M"]
    assert message.fields == (
        Field("x", 16, "int32", "optional"),
        Field("by_name", 2, "map<string,N>"),
        Field("left", 3, "string", oneof="one_of"),
        Field("right", 5, "a.b.M.N", oneof="one_of"),
        Field("many", 6, "a.b.M.N", "repeated"),
    )
    assert message.reserved_names == {"gone", "old"}
    assert message.is_reserved(Field("new", 9, "bool"))
    assert message.is_reserved(Field("new", 5000, "bool"))
    assert not message.is_reserved(Field("new", 7, "bool"))


@pytest.mark.parametrize(
    "text", ["nothing", "message M {", "message M { int32 = 4; }", "message M { int32 x = y; }", "}"]
)
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(BadSchemaText) as refused:
        parse(text)
    assert refused.value.code == "BAD_SCHEMA_TEXT"


@pytest.mark.parametrize(
    ("file", "was", "becomes"),
    [
        ("collector/v1/market_data", "  bool feed_alive = 5;", "  bool feed_alive = 5;\n  string source = 6;"),
        ("collector/v1/market_data", "  TRADE_IDS_OPAQUE = 3;", "  TRADE_IDS_OPAQUE = 3;\n  TRADE_IDS_HASHED = 4;"),
        ("collector/v1/market_data", "  int64 last_id = 4;", ""),
        ("collector/v1/market_data", "  int64 last_id = 4;", "  int64 last_id = 9;"),
        ("collector/v1/market_data", "  int64 last_id = 4;", "  int64 newest_id = 4;"),
        ("collector/v1/market_data", "  int64 last_id = 4;", "  string last_id = 4;"),
        ("collector/v1/market_data", "  int64 last_id = 4;", "  optional int64 last_id = 4;"),
        ("collector/v1/market_data", "  int64 last_id = 4;", "  oneof last { int64 last_id = 4; }"),
        ("collector/v1/market_data", "  TRADE_IDS_OPAQUE = 3;", ""),
        ("collector/v1/market_data", "  candlewick.kernel.v1.Column side = 6;",
         "  candlewick.kernel.v1.Column side = 6;\n  candlewick.kernel.v1.Column flags = 7;"),
        ("kernel/v1/envelope", "  bytes data = 4;", "  bytes data = 4;\n  bool compressed = 5;"),
        ("market/v1/symbols", "message SymbolDeleted { string exchange = 1; string symbol = 2; }", ""),
    ],
)  # fmt: skip
def test_the_comparison_refuses_what_the_build_s_checker_refuses(
    tmp_path: Path, file: str, was: str, becomes: str
) -> None:
    path = f"candlewick/{file}.proto"
    text = SCHEMA_FILES[path]
    assert was in text
    root = tmp_path / "proto"
    shutil.copytree(PROTO, root, ignore=shutil.ignore_patterns("released"))
    (root / path).write_text(text.replace(was, becomes))
    theirs = check_proto.faults(check_proto.descriptor_set(), check_proto.descriptor_set(root))
    ours = faults(parse(text), parse(text.replace(was, becomes)))
    assert bool(ours) == bool(theirs)
    for one in ours:
        name = one.replace("enum ", "").replace("message ", "").split()[0].rstrip(":").split(".v1.")[1]
        assert any(name in other for other in theirs), (one, theirs)


def test_a_number_that_was_reserved_stays_so() -> None:
    old = "message M { int32 a = 1; reserved 2; reserved 'b'; }"
    assert faults(parse(old), parse("message M { int32 a = 1; int32 c = 2; }")) == ["M: c (2) is reserved"]
    assert faults(parse("message M { int32 a = 1; int32 b = 2; }"), parse(old)) == []


@pytest.mark.parametrize(
    ("place", "written"), [(0, b"\x00"), (1, b"\x02\x02"), (3, b"\x02\x06"), (64, b"\x02\x80\x01")]
)
def test_law_11_a_header_names_a_message_by_id_and_place(place: int, written: bytes) -> None:
    header = schema_header(70_000, place)
    assert header == b"\x00" + (70_000).to_bytes(4, "big") + written
    assert schema_id_of(header) == 70_000


def test_headers_are_found_by_topic_and_envelope() -> None:
    every = subjects(CATALOGUE)
    assert {one.type_name for one in every} == {message.__name__ for message in PROTO_OF}
    assert len({one.name for one in every}) == len(every)
    headers = SchemaHeaders({one: schema_header(at, 0) for at, one in enumerate(every)})
    for at, one in enumerate(every):
        envelope = encode_envelope(Envelope(SystemIds().new(), one.type_name, 1, 2, "k", "p"))
        assert headers(one.topic, envelope) == headers(f"{one.topic}.dead-letters", envelope) == schema_header(at, 0)
        assert headers("elsewhere", envelope) is None
        for length in range(0, len(envelope), 5):
            assert headers(one.topic, envelope[:length]) in (None, schema_header(at, 0))
