"""What is not as it should be, and which fault was near."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from candlewick.quant.candles.merge import ARRAYS
from tools.chaos.facts import Facts, Series
from tools.chaos.subscribers import Subscriber
from tools.chaos.watching import Recovery

_OPEN_TIME, _REVISION = ARRAYS.index("open_time"), ARRAYS.index("revision")
_NS_PER_MS: Final = 1_000_000
_LISTED: Final = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """``what`` is one of WHERE; ``verdict`` is lost, doubled, wrong, out of order, behind; ``open_ms`` is the event
    time it is about, 0 where there is none."""

    what: str
    verdict: str
    detail: str
    open_ms: int = 0
    near: str = ""


#: Where is looked, in the order of a record's way.
WHERE: Final = {
    "trades": "trades in the log",
    "candles": "candles in the log",
    "stored": "rows in the store",
    "positions": "committed offsets and inboxes",
    "facts": "facts through the outbox",
    "ledger": "gap ledger",
    "subscribers": "final candles told to subscribers",
    "dead letters": "dead letters",
}


def differences(found: Facts, expected: Facts, subscribers: Sequence[Subscriber]) -> list[Difference]:
    """All of them; none when the faults left no trace."""
    return [
        *_trades(found, expected),
        *_candles(found, expected),
        *_stored(found, expected),
        *(Difference("positions", "behind", text) for text in found.behind),
        *_said(found),
        *_ledger(found, expected),
        *(one for subscriber in subscribers for one in _told(subscriber, found)),
        *_dead(found, expected),
    ]


def counted(expected: Facts, found: Facts, subscribers: Sequence[Subscriber]) -> dict[str, int]:
    """How much was compared, by WHERE."""
    return {
        "trades": sum(map(len, expected.trades.values())),
        "candles": sum(map(len, expected.candles.values())),
        "stored": sum(map(len, expected.stored.values())),
        "positions": sum(1 for topic, _ in found.ends if not topic.endswith(".dead-letters")),
        "facts": sum(len({one for _, one in said}) for said in found.said.values()),
        "ledger": len(expected.ledger),
        "subscribers": sum(len(one.finals) + len(one.snapshot) for one in subscribers),
        "dead letters": len(expected.dead),
    }


def placed(one: Difference, recoveries: Sequence[Recovery]) -> Difference:
    """With the fault that was nearest in event time."""
    if not one.open_ms or not recoveries:
        return one

    def away(recovery: Recovery) -> int:
        return max(recovery.first - one.open_ms, one.open_ms - recovery.last, 0)

    nearest = min(recoveries, key=away)
    behind = f", {away(nearest) / 1000:.0f} s of the recording away" if away(nearest) else ""
    return Difference(one.what, one.verdict, one.detail, one.open_ms, nearest.fault.name + behind)


def _trades(found: Facts, expected: Facts) -> Iterator[Difference]:
    for symbol, rows in expected.trades.items():
        here = found.trades.get(symbol, {})
        for trade_id, row in rows.items():
            if here.get(trade_id) != row:
                verdict = "wrong" if trade_id in here else "lost"
                yield Difference("trades", verdict, f"{symbol} trade {trade_id}", row[2] // _NS_PER_MS)
        for trade_id in here.keys() - rows.keys():
            yield Difference("trades", "wrong", f"{symbol} trade {trade_id} was never sent")


def _candles(found: Facts, expected: Facts) -> Iterator[Difference]:
    for series in expected.candles.keys() | found.candles.keys():
        yield from _rows(series, found.candles.get(series, []), expected.candles.get(series, []))


def _rows(series: Series, here: list[tuple[Any, ...]], there: list[tuple[Any, ...]]) -> Iterator[Difference]:
    """Each row exactly once, equal in every column, in an order that no cut of the feed could change."""
    times = Counter((row[_OPEN_TIME], row[_REVISION]) for row in here)
    wanted = {(row[_OPEN_TIME], row[_REVISION]): row for row in there}
    for place, row in wanted.items():
        if not times[place]:
            yield _row("candles", "lost", series, row)
    for place, count in times.items():
        if count > 1:
            yield _row("candles", "doubled", series, (place, count))
    for row in here:
        expected = wanted.get((row[_OPEN_TIME], row[_REVISION]))
        if expected is None:
            yield _row("candles", "wrong", series, row, "nobody made it without faults")
        elif row != expected:
            yield _row("candles", "wrong", series, row, _columns(row, expected))
    order = [(row[_OPEN_TIME], row[_REVISION]) for row in here]
    if times == dict.fromkeys(wanted, 1) and _lasting(order) != _lasting(wanted):
        first = next(a for a, b in zip(order, wanted, strict=True) if a != b)
        yield Difference("candles", "out of order", f"{series[0]} {series[1]} from {first[0]}", first[0] // _NS_PER_MS)


def _lasting(places: Iterable[tuple[int, int]]) -> tuple[list[int], dict[int, list[int]]]:
    """What is the same however the feed was cut into messages: the candles that came in time, and each candle's
    revisions. A message's rows are sorted by time, so where those of late trades stand depends on the cut."""
    in_time, revisions = [-1], defaultdict[int, list[int]](list)
    for opens, revision in places:
        revisions[opens].append(revision)
        if opens > in_time[-1]:
            in_time.append(opens)
    return in_time, revisions


def _row(what: str, verdict: str, series: Series, row: tuple[Any, ...], told: str = "") -> Difference:
    if isinstance(row[0], tuple):
        (opens, revision), count = row
        told = f"{count} times"
    else:
        opens, revision = row[_OPEN_TIME], row[_REVISION]
    detail = f"{series[0]} {series[1]} open {opens // _NS_PER_MS} revision {revision}" + (f": {told}" if told else "")
    return Difference(what, verdict, detail, opens // _NS_PER_MS)


def _columns(row: tuple[Any, ...], expected: tuple[Any, ...]) -> str:
    names = (*ARRAYS, "price_scale", "size_scale")
    parts = [f"{n} {b} was {a}" for n, a, b in zip(names, row, expected, strict=True) if a != b]
    return ", ".join(parts[:_LISTED])


def _stored(found: Facts, expected: Facts) -> Iterator[Difference]:
    for series in expected.stored.keys() | found.stored.keys():
        here, there = found.stored.get(series, {}), expected.stored.get(series, {})
        for opens, row in there.items():
            if opens not in here:
                yield _row("stored", "lost", series, row)
            elif here[opens] != row:
                yield _row("stored", "wrong", series, here[opens], _columns(here[opens], row))
        for opens in here.keys() - there.keys():
            yield _row("stored", "wrong", series, here[opens], "nobody stored it without faults")


def _said(found: Facts) -> Iterator[Difference]:
    """An outbox's facts come in the order they were written, once repeats are dropped, and none is missing where the
    topic keeps all of them."""
    for (topic, part), said in found.said.items():
        seen: set[str] = set()
        sequence = []
        for number, identity in said:
            if identity not in seen:
                seen.add(identity)
                sequence.append(number)
        where = f"{topic} {part}"
        if sequence != sorted(sequence):
            at = next(i for i in range(1, len(sequence)) if sequence[i] < sequence[i - 1])
            yield Difference("facts", "out of order", f"{where}: {sequence[at]} behind {sequence[at - 1]}")
        if len(set(sequence)) < len(sequence):
            yield Difference("facts", "doubled", f"{where}: {len(sequence) - len(set(sequence))} numbers given twice")
        if topic.endswith(".gaps") and (gone := set(range(1, max(sequence) + 1)) - set(sequence)):
            yield Difference("facts", "lost", f"{where}: {sorted(gone)[:_LISTED]} of {max(sequence)}")


def _ledger(found: Facts, expected: Facts) -> Iterator[Difference]:
    """By symbol: the time that entries cover and the trades they count. How suspicions that overlap are cut into
    entries depends on which of two topics was read first, with or without faults."""
    symbols = {row[0] for row in (*found.ledger, *expected.ledger)}
    for symbol in sorted(symbols):
        here, there = _covered(found, symbol), _covered(expected, symbol)
        for start, end in there - here:
            yield Difference("ledger", "lost", f"{symbol} {start} to {end}", start // _NS_PER_MS)
        for start, end in here - there:
            yield Difference("ledger", "wrong", f"{symbol} {start} to {end} is no gap", start // _NS_PER_MS)
        counts = [sum(row[4] for row in facts.ledger if row[0] == symbol and row[4] > 0) for facts in (found, expected)]
        if counts[0] != counts[1]:
            verdict = "doubled" if counts[0] > counts[1] else "lost"
            yield Difference("ledger", verdict, f"{symbol}: {counts[1]} trades missing in all, was {counts[0]}")


def _covered(facts: Facts, symbol: str) -> set[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for _, start, end, *_ in (row for row in facts.ledger if row[0] == symbol):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return set(joined)


def _told(one: Subscriber, found: Facts) -> Iterator[Difference]:
    """From its snapshot on, a subscriber is told every final row of its series once and in the log's order."""
    who = f"{one.symbol} {one.timeframe}"
    yield from (Difference("subscribers", "lost", f"{who}: {text}") for text in one.broken)
    rows = found.views.get((one.symbol, one.timeframe), [])
    begin = _begin(one, rows)
    due, got = rows[begin:], one.finals
    if got == due:
        return
    places = Counter((row["open_time"], row["revision"]) for row in got)
    for row in due:
        place = (row["open_time"], row["revision"])
        if not places[place]:
            yield Difference("subscribers", "lost", f"{who} open {place[0]} revision {place[1]}", place[0])
    for place, count in places.items():
        if count > 1:
            yield Difference("subscribers", "doubled", f"{who} open {place[0]}: {count} times", place[0])
    wanted = {(row["open_time"], row["revision"]): row for row in due}
    for row in got:
        place = (row["open_time"], row["revision"])
        if wanted.get(place) != row:
            yield Difference("subscribers", "wrong", f"{who} open {place[0]} revision {place[1]}: {row}", place[0])
    if places == dict.fromkeys(wanted, 1) and list(wanted) != [(row["open_time"], row["revision"]) for row in got]:
        yield Difference("subscribers", "out of order", who, due[0]["open_time"])


def _begin(one: Subscriber, rows: list[dict[str, Any]]) -> int:
    """How many rows its snapshot stands for: those before the first update where the log says the same, else all that
    are as old as the snapshot's newest."""
    if one.finals:
        first = (one.finals[0]["open_time"], one.finals[0]["revision"])
        newest = one.snapshot[-1]["open_time"] if one.snapshot else -1
        places = [(row["open_time"], row["revision"]) for row in rows]
        at = places.index(first) if first in places else 0
        # what is newer than the snapshot and older than the first update was lost between the two
        while at and rows[at - 1]["open_time"] > newest:
            at -= 1
        return at
    newest = one.snapshot[-1]["open_time"] if one.snapshot else -1
    return sum(row["open_time"] <= newest for row in rows)


def _dead(found: Facts, expected: Facts) -> Iterator[Difference]:
    for text in (Counter(found.dead) - Counter(expected.dead)).elements():
        yield Difference("dead letters", "wrong", text)
