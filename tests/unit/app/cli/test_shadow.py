"""``candlewick shadow``: what it refuses, what it says and how it ends; no broker is asked."""

import json
import shlex
from typing import ClassVar

import pytest

from candlewick.adapters.stream.quix.shadow import Comparison, Standing, Status
from candlewick.app.cli import main as cli
from candlewick.app.cli import shadow

NEW = "stream.candles.2"
OLD = "stream.candles"


class Handover:
    """Stands in for the adapter's and answers as it is told."""

    answers: ClassVar[dict[str, object]] = {}
    made: ClassVar[dict[str, object]] = {}

    def __init__(self, brokers, operator, **given):
        Handover.made = {"brokers": brokers, "operator": operator.name, **given}

    def __getattr__(self, verb):
        return lambda: Handover.answers[verb]


@pytest.fixture
def call(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("candlewick.adapters.stream.quix.shadow.Handover", Handover)
    monkeypatch.chdir(tmp_path)

    def called(*arguments):
        code = cli.main(["shadow", *arguments, "--data-dir", str(tmp_path)])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    return called


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["begin", NEW], "BROKERS_NOT_NAMED", "--brokers"),
        (["begin", "../x", "--brokers", "b:1"], "BAD_GROUP_NAME", "'../x'"),
        (["begin", NEW, "--from", "a b", "--brokers", "b:1"], "BAD_GROUP_NAME", "'a b'"),
        (["compare", OLD, "--brokers", "b:1"], "BAD_GROUP_NAME", "--from"),
        (["begin", NEW, "--from", NEW, "--brokers", "b:1"], "BAD_GROUP_NAME", "for both"),
        (["drop", OLD, "--brokers", "b:1"], "CONFLICT", "at work"),
        (["drop", NEW, "--brokers", "b:1", "--set", f"cluster.stream_group={NEW}"], "CONFLICT", "at work"),
        (["begin", NEW, "--set", "cluster.stream_group=/"], "BAD_SETTINGS", "stream_group"),
    ],
)
def test_what_is_refused_has_a_code(call, arguments, code, words):
    status, out, error = call(*arguments)
    assert (status, out) == (1, "")
    assert error.startswith(f"candlewick: {code}: ")
    assert words in error


def test_a_verb_that_there_is_not_is_wrong_usage(call):
    with pytest.raises(SystemExit, match="2"):
        call("start", NEW)


@pytest.mark.parametrize(
    ("given", "old"),
    [
        ([], OLD),
        (["--set", "cluster.stream_group=stream.candles.3"], "stream.candles.3"),
        (["--set", "cluster.stream_group=stream.candles.3", "--from", "stream.candles.4"], "stream.candles.4"),
    ],
)
def test_the_group_at_work_is_the_settings_unless_it_is_named(call, given, old):
    Handover.answers = {"begin": 7}
    assert call("begin", NEW, "--brokers", "b:1", "--set", "cluster.prefix=p.", *given)[0] == 0
    made = Handover.made
    assert (made["brokers"], made["operator"], made["old"], made["new"]) == ("b:1", "candles", old, NEW)
    assert made["options"].prefix == "p."


def test_begin_says_what_to_run_next_with_the_options_it_was_given(call, tmp_path):
    Handover.answers = {"begin": 7}
    config = tmp_path / "my servers.toml"
    config.write_text("[cluster]\n")
    status, out, _ = call("begin", NEW, "--brokers", "b:1", "--config", str(config), "--set", "cluster.prefix=p.")
    assert status == 0
    assert f"copied 7 entries of state, and the positions they belong to, from {OLD} to {NEW}" in out
    run, compare = (shlex.split(line) for line in out.splitlines() if line.startswith("  candlewick"))
    assert run == [
        *("candlewick", "run", "stream", "--profile", "cluster", "--data-dir", "DIR", "--port", "PORT"),
        *("--config", str(config), "--set", "cluster.kafka_brokers=b:1", "--set", "cluster.prefix=p."),
        *("--set", f"cluster.stream_group={NEW}", "--set", "cluster.stream_shadow=true"),
    ]
    assert compare[:4] == ["candlewick", "shadow", "compare", NEW]
    # What it prints can be called as it stands.
    Handover.answers = {"compare": Comparison(messages=1, equal=1)}
    assert cli.main(compare[1:]) == 0
    assert Handover.made["options"].prefix == "p."


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        (Comparison(messages=9, equal=8), 0, "stop both, the old one first"),
        (Comparison(messages=9, equal=8, different=1, examples=["normalized.ohlcv a:b"]), 1, "normalized.ohlcv a:b"),
        (Comparison(messages=9, equal=8, only_old=1), 1, f"candlewick shadow drop {NEW}"),
        (Comparison(messages=9, equal=8, only_new=1), 1, f"candlewick shadow promote {NEW}"),
        (Comparison(), 1, f"candlewick shadow status {NEW}"),
    ],
)
def test_compare_ends_with_one_unless_both_have_made_the_same(call, found, status, words):
    Handover.answers = {"compare": found}
    code, out, _ = call("compare", NEW, "--brokers", "b:1")
    assert code == status
    assert words in out
    code, out, _ = call("compare", NEW, "--brokers", "b:1", "--json")
    assert (code, json.loads(out)["messages"]) == (status, found.messages)


def test_promote_and_drop_say_what_is_left_to_do(call, tmp_path):
    Handover.answers = {"promote": 12, "drop": ["t.shadow"]}
    code, out, _ = call("promote", NEW, "--brokers", "b:1")
    assert code == 0
    assert f"handed over 12 records that {NEW} alone had made" in out
    assert f'  stream_group = "{NEW}"' in out
    assert f"{OLD} runs as a shadow only" in out
    code, out, _ = call("drop", NEW, "--brokers", "b:1")
    assert code == 0
    assert str(tmp_path / "stream" / NEW) in out
    code, out, _ = call("drop", OLD, "--brokers", "b:1", "--set", f"cluster.stream_group={NEW}", "--json")
    assert json.loads(out) == {"group": OLD, "topics": ["t.shadow"]}


@pytest.mark.parametrize(
    ("begun", "promoted", "state", "following"),
    [
        (False, False, "not begun", f"candlewick shadow begin {NEW}"),
        (True, False, "begun, not promoted", f"candlewick shadow compare {NEW}"),
        (True, True, "promoted", f"candlewick shadow promote {OLD} --from {NEW}"),
    ],
)
def test_status_says_where_both_stand(call, begun, promoted, state, following):
    Handover.answers = {"status": Status(Standing(OLD, 2, 0), Standing(NEW, 0, 31), begun, promoted)}
    code, out, _ = call("status", NEW, "--brokers", "b:1")
    assert code == 0
    first, second, *rest = out.splitlines()
    assert first == f"{OLD:24} 2 at work, 0 behind the end of the input"
    assert second == f"{NEW:24} nobody at work, 31 behind the end of the input; {state}"
    assert following in "\n".join(rest)
    _, out, _ = call("status", NEW, "--brokers", "b:1", "--json")
    assert json.loads(out) == {
        "old": {"group": OLD, "members": 2, "lag": 0},
        "new": {"group": NEW, "members": 0, "lag": 31},
        "begun": begun,
        "promoted": promoted,
    }


def test_progress_goes_to_standard_error(capsys):
    shadow._tell("reading")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "reading ...\n")
