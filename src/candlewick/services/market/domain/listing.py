"""What a venue lists, and what has changed since it was last asked. No I/O, no clock."""

from collections.abc import Sequence

import msgspec

from candlewick.contracts.market import REMOVED, Instrument


def changed(followed: Sequence[Instrument], listed: Sequence[Instrument]) -> list[Instrument]:
    """Followed symbols of which the venue says something new, as they are now. One that it no longer lists is what it
    was, with status removed."""
    newest = {instrument.symbol: instrument for instrument in listed}
    now = [newest.get(old.symbol, msgspec.structs.replace(old, status=REMOVED)) for old in followed]
    return [new for new, old in zip(now, followed, strict=True) if new != old]
