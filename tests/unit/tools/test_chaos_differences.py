"""What a run of chaos says of what was lost, doubled, changed or disordered."""

import copy
import json

import pytest

from candlewick.ports.log import Position
from candlewick.quant.candles.merge import ARRAYS
from tools.chaos import report
from tools.chaos.differences import WHERE, Difference, counted, differences, placed
from tools.chaos.facts import Facts
from tools.chaos.schedule import Fault
from tools.chaos.subscribers import Subscriber
from tools.chaos.trial import Outcome, Plan
from tools.chaos.watching import Recovery

SERIES = ("BTC-USDT", "1s")
COLUMNS = (*ARRAYS, "price_scale", "size_scale")


def row(second, revision=0, close=100):
    values = dict.fromkeys(COLUMNS, 1) | {"open_time": second * 10**9, "revision": revision, "close": close}
    return tuple(values[name] for name in COLUMNS)


def view(second, revision=0):
    return {"open_time": second * 1000, "revision": revision, "final": True, "close": 100.0}


def whole():
    """Five candles, the third revised after the fourth."""
    order = [(1, 0), (2, 0), (3, 0), (4, 0), (3, 1), (5, 0)]
    return Facts(
        candles={SERIES: [row(*one) for one in order]},
        views={SERIES: [view(*one) for one in order]},
        stored={SERIES: {second * 10**9: row(second) for second in range(1, 6)}},
        trades={"BTC-USDT": {number: (100, 1, number * 10**9, 0) for number in range(1, 9)}},
        ledger=[("BTC-USDT", 0, 10, "open", 2), ("BTC-USDT", 20, 30, "open", 3)],
        said={("history.gaps", 1): [(1, "a"), (2, "b"), (3, "c")], ("market.symbols", 0): [(4, "x"), (7, "y")]},
        ends={("normalized.ohlcv", 3): Position(1, 6)},
    )


def subscriber(snapshot=(), told=((1, 0), (2, 0), (3, 0), (4, 0), (3, 1), (5, 0))):
    one = Subscriber(1, *SERIES)
    one.snapshot, one.finals = [view(*at) for at in snapshot], [view(*at) for at in told]
    return one


def found(change=lambda facts: None, subscribers=()):
    facts = copy.deepcopy(whole())
    change(facts)
    return [(one.what, one.verdict) for one in differences(facts, whole(), subscribers)]


def test_what_is_equal_has_no_differences():
    assert found(subscribers=[subscriber()]) == []
    assert counted(whole(), whole(), [subscriber()]) == {
        "trades": 8, "candles": 6, "stored": 5, "positions": 1, "facts": 5, "ledger": 2, "subscribers": 6,
        "dead letters": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda f: f.candles[SERIES].pop(1), [("candles", "lost")]),
        (lambda f: f.candles[SERIES].append(row(2)), [("candles", "doubled")]),
        (lambda f: f.candles[SERIES].__setitem__(1, row(2, close=7)), [("candles", "wrong")]),
        (lambda f: f.candles[SERIES].append(row(9)), [("candles", "wrong")]),
        (lambda f: f.candles[SERIES].reverse(), [("candles", "out of order")]),
        (lambda f: f.stored[SERIES].pop(2 * 10**9), [("stored", "lost")]),
        (lambda f: f.stored[SERIES].__setitem__(2 * 10**9, row(2, close=7)), [("stored", "wrong")]),
        (lambda f: f.stored[SERIES].__setitem__(9 * 10**9, row(9)), [("stored", "wrong")]),
        (lambda f: f.trades["BTC-USDT"].pop(4), [("trades", "lost")]),
        (lambda f: f.trades["BTC-USDT"].__setitem__(4, (1, 1, 1, 0)), [("trades", "wrong")]),
        (lambda f: f.trades["BTC-USDT"].__setitem__(99, (1, 1, 1, 0)), [("trades", "wrong")]),
        (lambda f: f.behind.append("group stream.candles stands at 3"), [("positions", "behind")]),
        (lambda f: f.said["history.gaps", 1].append((2, "b")), []),
        (lambda f: f.said["history.gaps", 1].reverse(), [("facts", "out of order")]),
        (lambda f: f.said["history.gaps", 1].pop(1), [("facts", "lost")]),
        (lambda f: f.said["history.gaps", 1].append((3, "d")), [("facts", "doubled")]),
        (lambda f: f.said["market.symbols", 0].reverse(), [("facts", "out of order")]),
        (lambda f: f.ledger.pop(0), [("ledger", "lost"), ("ledger", "lost")]),
        (lambda f: f.ledger.__setitem__(0, ("BTC-USDT", 0, 10, "open", 4)), [("ledger", "doubled")]),
        (lambda f: f.dead.append("raw.market-data.dead-letters: BAD_TRADE"), [("dead letters", "wrong")]),
    ],
)
def test_each_difference_is_seen_once_and_called_by_its_name(change, expected):
    assert found(change) == expected


def test_where_the_rows_of_late_trades_stand_depends_on_how_the_feed_was_cut():
    def change(facts):
        facts.candles[SERIES] = [row(*one) for one in [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (3, 1)]]

    assert found(change) == []


def test_entries_of_the_ledger_may_be_cut_otherwise_where_they_overlap():
    def change(facts):
        facts.ledger = [("BTC-USDT", 0, 6, "open", 1), ("BTC-USDT", 4, 10, "open", 1), facts.ledger[1]]

    assert found(change) == []


@pytest.mark.parametrize(
    ("snapshot", "told", "expected"),
    [
        ((), ((1, 0), (2, 0), (3, 0), (4, 0), (3, 1), (5, 0)), []),
        (((1, 0), (2, 0)), ((3, 0), (4, 0), (3, 1), (5, 0)), []),
        (((1, 0), (2, 0), (3, 1), (4, 0)), ((5, 0),), []),
        (((1, 0), (2, 0), (3, 1), (4, 0), (5, 0)), (), []),
        (((1, 0), (2, 0)), ((4, 0), (3, 1), (5, 0)), ["lost"]),
        (((1, 0), (2, 0)), ((3, 0), (3, 1), (5, 0)), ["lost"]),
        (((1, 0), (2, 0)), ((3, 0), (4, 0), (3, 1)), ["lost"]),
        (((1, 0), (2, 0)), ((3, 0), (4, 0), (4, 0), (3, 1), (5, 0)), ["doubled"]),
        (((1, 0), (2, 0)), ((3, 0), (4, 0), (5, 0), (3, 1)), ["out of order"]),
        (((1, 0), (2, 0)), ((3, 0), (4, 0), (3, 1), (5, 0), (8, 0)), ["wrong"]),
        ((), (), ["lost"] * 6),
    ],
)
def test_a_subscriber_is_told_everything_behind_its_snapshot_once_and_in_order(snapshot, told, expected):
    assert found(subscribers=[subscriber(snapshot, told)]) == [("subscribers", verdict) for verdict in expected]


def test_a_hole_that_a_subscriber_was_told_of_is_a_loss():
    one = subscriber()
    one.broken.append("HOLE: the token is older than what the log keeps")
    assert found(subscribers=[one]) == [("subscribers", "lost")]


def recovery(kind, first, last, seconds=2.0):
    return Recovery(Fault(kind, "history"), 1.0, seconds, 3.0, first, last)


def test_a_difference_names_the_fault_that_was_nearest():
    faults = [recovery("kill", 1000, 2000), recovery("pause", 5000, 9000)]
    assert placed(Difference("candles", "lost", "", 6000), faults).near == "pause history"
    assert placed(Difference("candles", "lost", "", 3000), faults).near == "kill history, 1 s of the recording away"
    assert placed(Difference("candles", "lost", ""), faults).near == ""


def test_the_report_tells_medians_differences_and_a_verdict_and_json_the_same():
    plan = Plan(5, 1.0, 8.0)
    outcome = Outcome(plan, [recovery("kill", 0, 1, s) for s in (1.0, 2.0, 9.0)], compared=dict.fromkeys(WHERE, 3))
    text = "\n".join(report.lines(outcome))
    assert "nothing lost, nothing doubled in 3 faults (seed 5)" in text
    assert text.splitlines()[2].split() == ["kill", "3", "2.0", "9.0", "3.0", "5", "s"]
    assert outcome.is_sound
    outcome.found = [Difference("stored", "lost", f"row {i}", 1) for i in range(30)]
    outcome.recoveries.append(recovery("cut", 0, 1, None))
    outcome.missing, outcome.skipped = ["pause"], {"fill-disk": "only root may mount a small disk"}
    text = "\n".join(report.lines(outcome))
    assert not outcome.is_sound
    assert "the first 20 of 30 differences" in text
    assert "30 lost in rows in the store; no fault of kind pause came; not well again after cut history" in text
    assert "left out: only root may mount" in text
    shown = json.loads(json.dumps(report.as_json(outcome)))
    assert shown["sound"] is False
    assert shown["recovery"]["cut"]["median"] is None
    assert shown["differences_in_all"] == 30
    assert shown["plan"]["seed"] == 5
