"""Which faults come, and the input that flows meanwhile."""

import gzip
import itertools
import json
from collections import Counter

import pytest

from tools.chaos.__main__ import main, parser, plans
from tools.chaos.mutants import MUTANTS
from tools.chaos.recording import PAIRS, write
from tools.chaos.schedule import _WHOLE, GOALS, KINDS, MEANINGS, BadChoice, chosen, faults, missing


def drawn(seed, count, kinds=KINDS):
    return list(itertools.islice(faults(seed, kinds), count))


def test_a_seed_gives_the_same_faults_again_and_another_others():
    assert drawn(7, 60) == drawn(7, 60)
    assert drawn(7, 60) != drawn(8, 60)


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_comes_before_any_comes_again_and_every_target_in_the_first_round(seed):
    found = drawn(seed, len(KINDS))
    assert {fault.kind for fault in found} == set(KINDS)
    assert missing(found[:-1], KINDS) == [found[-1].kind]
    round_ = sum(len(targets) if kind in _WHOLE else 1 for kind, targets in KINDS.items())
    times = Counter((fault.kind, fault.target) for fault in drawn(seed, round_))
    assert all(times[kind, target] == 1 for kind in _WHOLE for target in KINDS[kind])
    assert set(times.values()) == {1}


def test_a_sleep_is_longer_than_the_session_and_a_hung_broker_takes_a_service_along():
    found = drawn(3, 200)
    assert all(fault.seconds >= 8 for fault in found if fault.kind == "pause")
    hung = [fault for fault in found if fault.kind == "hang-broker"]
    assert {fault.broker for fault in hung} == {"kafka-1", "kafka-2", "kafka-3"}
    assert {fault.manner for fault in found if fault.kind == "cut"} == {"reset", "silent"}


def test_only_some_kinds_and_targets():
    assert chosen(None) == KINDS
    assert chosen("kill:history,kill:stream,fill-disk") == {"kill": ("history", "stream"), "fill-disk": ("data",)}
    assert {fault.target for fault in drawn(1, 20, chosen("kill:history"))} == {"history"}
    for wrong in ("flood", "kill:moon"):
        with pytest.raises(BadChoice, match=r"was "):
            chosen(wrong)


def test_a_wrong_choice_ends_with_2_before_anything_starts(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--only", "flood"])
    assert ended.value.code == 2
    assert "was 'flood'" in capsys.readouterr().err


def test_help_names_every_fault_and_every_mutant():
    text = parser().format_help()
    assert all(name in text for name in (*KINDS, *MUTANTS))
    assert set(MEANINGS) == set(KINDS)
    assert set(GOALS) <= set(KINDS)


def test_mutants_have_short_runs_of_their_own_unless_told_otherwise():
    given = parser().parse_args
    assert [plan.mutant for plan in plans(given(["--mutants"]), 5)] == list(MUTANTS)
    assert [plan.mutant for plan in plans(given(["--mutants", "no-acks"]), 5)] == ["no-acks"]
    (plan,) = plans(given(["--mutant", "no-acks"]), 5)
    assert (plan.only, plan.most, plan.seed) == (MUTANTS["no-acks"].only, MUTANTS["no-acks"].faults, 5)
    (plan,) = plans(given(["--mutant", "no-acks", "--minutes", "2"]), 5)
    assert (plan.only, plan.most, plan.minutes) == (None, None, 2.0)
    (plan,) = plans(given([]), 5)
    assert (plan.mutant, plan.minutes) == (None, 5.0)
    assert all(chosen(mutant.only) for mutant in MUTANTS.values())


def trades(path):
    with gzip.open(path, "rt") as file:
        for line in file:
            received, _, frame = line.partition(" ")
            yield int(received), json.loads(frame)["data"]


def test_the_input_is_drawn_from_the_seed_with_gaps_and_late_trades_on_purpose(tmp_path):
    count = write(tmp_path / "a.gz", 11, 600.0)
    write(tmp_path / "b.gz", 11, 600.0)
    write(tmp_path / "c.gz", 12, 600.0)
    found = list(trades(tmp_path / "a.gz"))
    assert found == list(trades(tmp_path / "b.gz"))
    assert found != list(trades(tmp_path / "c.gz"))
    assert len(found) == count
    assert [received for received, _ in found] == sorted(received for received, _ in found)
    for pair in PAIRS:
        own = [trade for _, trade in found if trade["s"] == pair]
        ids = [trade["t"] for trade in own]
        assert len(set(ids)) == len(ids)
        steps = [b - a for a, b in itertools.pairwise(sorted(ids))]
        assert max(steps) > 1, "ids are missing"
        assert any(b < a for a, b in itertools.pairwise(ids)), "a trade comes late"
        late_ms = [trade["E"] - trade["T"] for trade in own if trade["E"] != trade["T"]]
        assert all(4000 <= late <= 9000 for late in late_ms)
