"""Whose state lies on disk; no broker is asked."""

from types import SimpleNamespace

from candlewick.adapters.stream.quix.belonging import Belonging


class Brokers:
    """Say which life of a topic they have."""

    def __init__(self, **lives):
        self.lives = lives

    def topics(self, names):
        return {name: SimpleNamespace(topic_id=self.lives[name]) for name in names if name in self.lives}


def test_a_state_belongs_to_one_life_of_its_changelog(tmp_path):
    brokers = Brokers()
    own = Belonging(brokers, tmp_path / "member", ["one"])
    assert not own.is_strange(), "there is none yet"
    brokers.lives = {"one": "id-1"}
    own.keep()
    assert not own.is_strange()
    brokers.lives = {"one": "id-2"}
    own.keep()
    assert own.is_strange(), "what is kept is not overwritten"
    brokers.lives = {}
    assert not own.is_strange(), "a broker may not have heard of it yet"
    brokers.lives = {"one": "id-1"}
    assert not own.is_strange()


def test_a_state_from_before_such_files_is_taken_as_it_is(tmp_path):
    (tmp_path / "changelogs.json").write_text("damaged")
    own = Belonging(Brokers(one="id-1"), tmp_path, ["one"])
    assert not own.is_strange()
    own.keep()
    assert not Belonging(Brokers(one="id-1"), tmp_path, ["one"]).is_strange()
    assert Belonging(Brokers(one="id-2"), tmp_path, ["one"]).is_strange()
