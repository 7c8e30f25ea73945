"""Open candles have a topic of their own because they outweigh the final ones; see docs/decisions."""

from random import Random

import pytest

from candlewick.contracts.codec import encode
from candlewick.quant.candles.operator import CandleOperator
from candlewick.testing.oracle.feed import Faults, cut, drive, feed


@pytest.mark.slow
def test_open_candles_outweigh_the_final_ones_many_times() -> None:
    random = Random(5)
    seconds, per_second = 600, 30.0  # what a busy pair trades in the recordings
    messages = cut(feed(random, int(seconds * per_second), per_second, Faults()), random, 8)
    out = drive(CandleOperator(), messages)
    finals = sum(len(encode(batch)) for batch in out.batches)
    opens = sum(len(encode(batch)) for batch in out.open_batches)
    print(
        f"final: {finals / seconds:.0f} B/s in {len(out.batches) / seconds:.2f} messages/s; "
        f"open: {opens / seconds:.0f} B/s in {len(out.open_batches) / seconds:.2f} messages/s; {opens / finals:.1f}x"
    )
    assert opens > 5 * finals
