"""What a venue lists, and what has changed since it was last asked. No I/O, no clock."""

from collections.abc import Sequence

import msgspec

from candlewick.contracts.market import HALTED, MOST_NAMED, OPEN, REMOVED, TRADING, Instrument, MarketUpdated


def changed(followed: Sequence[Instrument], listed: Sequence[Instrument]) -> list[Instrument]:
    """Followed symbols of which the venue says something new, as they are now. One that it no longer lists is what it
    was, with status removed."""
    newest = {instrument.symbol: instrument for instrument in listed}
    now = [newest.get(old.symbol, msgspec.structs.replace(old, status=REMOVED)) for old in followed]
    return [new for new, old in zip(now, followed, strict=True) if new != old]


def news(exchange: str, before: Sequence[Instrument] | None, listed: Sequence[Instrument]) -> MarketUpdated | None:
    """The word on a whole market after it listed ``before``, None where nobody knows. None when there is nothing new to
    say."""
    now = _word(exchange, before if before is not None else listed, listed)
    if before is not None and now == _word(exchange, before, before):
        return None
    return now


def _word(exchange: str, before: Sequence[Instrument], listed: Sequence[Instrument]) -> MarketUpdated:
    was, now = {one.symbol for one in before}, {one.symbol: one for one in listed}
    trading = sum(one.status == TRADING for one in now.values())
    added, removed = sorted(now.keys() - was)[:MOST_NAMED], sorted(was - now.keys())[:MOST_NAMED]
    return MarketUpdated(
        exchange, OPEN if trading else HALTED, len(now), trading, tuple(added), tuple(removed)
    )  # fmt: skip
