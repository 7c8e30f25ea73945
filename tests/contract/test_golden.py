"""What was written once can be read for ever, and what is written today changes only in plain sight."""

import numpy as np
import pytest

from candlewick.contracts import codec
from tools import golden

NAMES = [kind.__name__ for kind in codec.PROTO_OF]


@pytest.mark.parametrize("name", [*NAMES, "Envelope"])
def test_today_s_bytes_are_the_newest_golden_file(name):
    newest = golden.kept(name)[-1]
    assert golden.today()[name] == newest.read_bytes(), (
        f"{name} is no longer written as {newest.name} says; if that is meant, python -m tools.golden --add keeps both"
    )


@pytest.mark.parametrize("path", sorted(golden.GOLDEN.glob("*.bin")), ids=lambda path: path.stem)
def test_every_golden_file_is_still_read(path):
    name = path.name.partition(".")[0]
    if name == "Envelope":
        assert codec.decode_envelope(path.read_bytes()).producer == "collector"
    else:
        message = codec.decode(name, path.read_bytes())
        assert type(message).__name__ == name
        assert message.key


def test_golden_files_hold_extremes_and_decode_to_the_sample():
    kind = next(k for k in codec.PROTO_OF if k.__name__ == "TradeBatch")
    columns = codec.decode("TradeBatch", golden.today()["TradeBatch"]).columns_v1
    assert columns.price[0] == np.iinfo(np.int64).min
    assert columns.price[-1] == np.iinfo(np.int64).max
    assert columns.price_scale == golden.sample(kind).columns_v1.price_scale
    assert codec.decode_envelope(golden.today()["Envelope"]) == golden.ENVELOPE


def test_a_changed_encoding_is_reported_and_never_overwrites(tmp_path, monkeypatch):
    monkeypatch.setattr(golden, "GOLDEN", tmp_path)
    monkeypatch.setattr("sys.argv", ["golden", "--add"])
    assert golden.main() == 0
    assert golden.differing() == []
    (tmp_path / "Progress.1.bin").write_bytes(b"\x0a\x01x")
    assert golden.differing() == ["Progress"]
    monkeypatch.setattr("sys.argv", ["golden"])
    assert golden.main() == 1
    assert (tmp_path / "Progress.1.bin").read_bytes() == b"\x0a\x01x"
    monkeypatch.setattr("sys.argv", ["golden", "--add"])
    assert golden.main() == 0
    assert [path.name for path in golden.kept("Progress")] == ["Progress.1.bin", "Progress.2.bin"]
    assert golden.differing() == []
