"""What is generated is current: regenerating changes nothing."""

from tools import gen_proto


def test_generated_protobuf_is_current(tmp_path):
    gen_proto.generate(tmp_path / "gen")
    for fresh in sorted((tmp_path / "gen").rglob("*.py")):
        name = fresh.relative_to(tmp_path / "gen")
        assert (gen_proto.OUT / name).read_text() == fresh.read_text(), f"{name} is stale: run ./dev gen"
    committed = {path.relative_to(gen_proto.OUT) for path in gen_proto.OUT.rglob("*.py")}
    assert committed == {path.relative_to(tmp_path / "gen") for path in (tmp_path / "gen").rglob("*.py")}
