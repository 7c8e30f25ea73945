"""A schema change that older readers or recordings would not survive is refused, each kind of it by name."""

import copy
import shutil

import pytest

from tools import check_proto

COLLECTOR = "candlewick/collector/v1/market_data.proto"
KERNEL = "candlewick/kernel/v1/envelope.proto"
MARKET = "candlewick/market/v1/symbols.proto"


@pytest.fixture(scope="module")
def now():
    return check_proto.descriptor_set()


@pytest.fixture
def edited(tmp_path, now):
    """Faults of the present schema after a textual edit of one file, against itself before the edit."""

    def compare(path, was, becomes):
        root = tmp_path / "proto"
        shutil.copytree(check_proto.PROTO, root, ignore=shutil.ignore_patterns("released"), dirs_exist_ok=True)
        text = (root / path).read_text()
        assert was in text
        (root / path).write_text(text.replace(was, becomes))
        return check_proto.faults(now, check_proto.descriptor_set(root))

    return compare


def test_the_present_schema_is_compatible_with_the_released_one():
    assert check_proto.check() == []


@pytest.mark.parametrize(
    ("path", "was", "becomes"),
    [
        (COLLECTOR, "  bool feed_alive = 5;", "  bool feed_alive = 5;\n  string source = 6;"),
        (COLLECTOR, "  TRADE_IDS_OPAQUE = 3;", "  TRADE_IDS_OPAQUE = 3;\n  TRADE_IDS_HASHED = 4;"),
        (COLLECTOR, "message Progress {", "message Pause { string exchange = 1; }\nmessage Progress {"),
        (COLLECTOR, "  TradeColumnsV1 columns_v1 = 10;",
         "  TradeColumnsV1 columns_v1 = 10;\n  TradeColumnsV2 columns_v2 = 11;\n}\n"
         "message TradeColumnsV2 {\n  candlewick.kernel.v1.Column trade_id = 1;"),
    ],
    ids=["added field", "added enum value", "added message", "new layout under a new number"],
)  # fmt: skip
def test_what_older_readers_survive_is_accepted(edited, path, was, becomes):
    assert edited(path, was, becomes) == []


@pytest.mark.parametrize(
    ("path", "was", "becomes", "says"),
    [
        (COLLECTOR, "  int64 last_id = 4;", "", "Progress.last_id (4) was removed"),
        (COLLECTOR, "  int64 last_id = 4;", "  reserved 4;", "Progress.last_id (4) was removed"),
        (COLLECTOR, "  int64 last_id = 4;", "  int64 last_id = 9;", "Progress.last_id was renumbered from 4 to 9"),
        (COLLECTOR, "  int64 last_id = 4;", "  int64 newest_id = 4;",
         "number 4 was last_id and is put to a new use as newest_id"),
        (COLLECTOR, "  int64 last_id = 4;", "  string last_id = 4;",
         "Progress.last_id was optional int64 and is optional string"),
        (COLLECTOR, "  int64 last_id = 4;", "  repeated int64 last_id = 4;",
         "Progress.last_id was optional int64 and is repeated int64"),
        (COLLECTOR, "  int64 last_id = 4;", "  optional int64 last_id = 4;", "with presence"),
        (COLLECTOR, "  int64 last_id = 4;", "  oneof last { int64 last_id = 4; string last_hash = 6; }", "in a oneof"),
        (COLLECTOR, "  TRADE_IDS_OPAQUE = 3;", "", "TradeIds.TRADE_IDS_OPAQUE (3) was removed"),
        (COLLECTOR, "  TRADE_IDS_OPAQUE = 3;", "  TRADE_IDS_RANDOM = 3;", "3 was TRADE_IDS_OPAQUE and is put"),
        (COLLECTOR, "  candlewick.kernel.v1.Column side = 6;",
         "  candlewick.kernel.v1.Column side = 6;\n  candlewick.kernel.v1.Column flags = 7;",
         "TradeColumnsV1 is a column layout and flags was added"),
        (KERNEL, "  bytes data = 4;", "  bytes data = 4;\n  bool compressed = 5;",
         "Column is a column layout and compressed was added"),
        (MARKET, "message SymbolDeleted { string exchange = 1; string symbol = 2; }", "", "SymbolDeleted was removed"),
        (MARKET, "package candlewick.market.v1;", "package candlewick.market.v2;", "market.v1.Instrument was removed"),
    ],
)  # fmt: skip
def test_what_they_would_not_survive_is_refused(edited, path, was, becomes, says):
    found = edited(path, was, becomes)
    assert any(says in fault for fault in found), found


def test_an_enum_that_is_gone_is_refused(now):
    after = copy.deepcopy(now)
    file = next(f for f in after.file if f.name == COLLECTOR)
    del file.enum_type[0]
    assert check_proto.faults(now, after) == ["enum candlewick.collector.v1.TradeIds was removed"]


def test_a_number_that_was_reserved_stays_so(now):
    before = copy.deepcopy(now)
    progress = next(m for f in before.file for m in f.message_type if m.name == "Progress")
    progress.reserved_range.add(start=6, end=8)
    after = copy.deepcopy(before)
    progress = next(m for f in after.file for m in f.message_type if m.name == "Progress")
    progress.field.add(name="again", number=7, type=9, label=1)
    assert any("number 7 is reserved" in fault for fault in check_proto.faults(before, after))


def test_law_11_a_column_s_item_type_is_part_of_the_layout():
    was = check_proto.layouts()
    now = copy.deepcopy(was)
    layout = now["candlewick.collector.v1.TradeColumnsV1"]
    layout["price"] = "int32 at price_scale"
    del layout["side"]
    layout["flags"] = "uint8"
    assert check_proto.layout_faults(was, now) == [
        "candlewick.collector.v1.TradeColumnsV1.price was int64 at price_scale and is int32 at price_scale: "
        "make a new layout message",
        "candlewick.collector.v1.TradeColumnsV1.side was uint8 and is gone: make a new layout message",
    ]


def test_a_release_is_refused_while_faults_stand(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_proto, "RELEASED", tmp_path / "v1.binpb")
    monkeypatch.setattr(check_proto, "LAYOUTS", tmp_path / "v1.layouts.json")
    monkeypatch.setattr("sys.argv", ["check_proto", "--release"])
    assert check_proto.main() == 0
    kept = (tmp_path / "v1.binpb").read_bytes()
    assert check_proto.main() == 0
    assert (tmp_path / "v1.binpb").read_bytes() == kept
    (tmp_path / "v1.layouts.json").write_text('{"candlewick.collector.v1.Progress": {"gone": "int64"}}')
    assert check_proto.main() == 1
    assert "Progress.gone was int64 and is gone" in capsys.readouterr().out
