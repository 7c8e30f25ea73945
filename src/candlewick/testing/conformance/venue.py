"""The laws of ``ports.venue``, for every adapter, over whatever transport it uses.

 1 Instruments are spelled BASE-QUOTE; their scales hold tick and step exactly.
 2 Live trades arrive once each, in the venue's order, with exact digits, side and venue time.
 3 Every frame reaches ``Sink.frame`` before a message made of it, and a parser makes the same trades of those frames.
 4 A trade sent twice is taken once; missing ids are reported exactly; a missing trade that comes late is taken.
 5 Progress comes again and again while nothing trades, never goes back, and no later trade is older than it says.
 6 A living stretch opens with ``feed_alive`` false; a lost connection is healed and the hole it left is reported.
 7 Silence on an open connection is treated like a disconnect.
 8 The newest quote is never withheld, and quotes that nobody could see are dropped.
 9 A book's levels are best first; a hole in its sequence is told once and healed from a snapshot.
10 Nonsense is reported with a code of ``NONSENSE`` and costs nothing else.
11 Symbols come and go while the feed runs; an unknown one is refused with UNKNOWN_SYMBOL.
12 While the sink is congested trades wait in order; none is lost, none overtakes.
13 Candles are closed, final, FETCHED, oldest first, start inclusive and end exclusive, and equal the trades' sums.
14 Trades by id are inclusive and exact; fewer only where the venue has no more.
15 When the venue asks for silence nothing is asked until it is over, and the call then succeeds.
16 A refused address is VENUE_FORBIDDEN; server errors are tried again and then VENUE_UNAVAILABLE.
17 ``parse_many`` gives the trades, gaps and Progress that ``parse`` gives.
18 A parser restored from a checkpoint goes on as if there had been no break.
19 ``is_reachable`` never raises and answers in time; server time is the venue's.
20 What is learned of a symbol holds from then on, without a break: scales only grow; a new symbol can be followed.
"""

import pytest

from candlewick.testing.conformance.venue_frames import FrameLaws
from candlewick.testing.conformance.venue_harness import Exchange, VenueHarness
from candlewick.testing.conformance.venue_live import LiveLaws
from candlewick.testing.conformance.venue_questions import QuestionLaws

__all__ = ["Exchange", "VenueConformance", "VenueHarness"]


class VenueConformance(LiveLaws, FrameLaws, QuestionLaws):
    """Bind it with a fixture ``harness`` (see the module's docstring for the laws)."""

    @pytest.fixture
    def harness(self) -> VenueHarness:
        raise NotImplementedError("a binding gives the harness")
