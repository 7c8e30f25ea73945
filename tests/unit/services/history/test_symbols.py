"""Which symbols history asks the venue about, as market says it."""

from types import SimpleNamespace

from candlewick.contracts.market import SymbolAdded, SymbolDeleted, SymbolUpdated
from candlewick.services.history.handlers.fetching import MINUTES, Fetches
from tests.unit.services.market.listing_house import instrument

PLACE = ("fake", "BTC-USDT")


def test_nothing_is_asked_or_missed_of_a_symbol_that_its_venue_does_not_list():
    gaps = SimpleNamespace(followed=set())
    fetches = Fetches(None, gaps, None, None)

    def after(message):
        fetches.on_symbols([SimpleNamespace(message=message)])
        return PLACE in gaps.followed, (*PLACE, MINUTES) in fetches.wanted

    assert after(SymbolUpdated(instrument("BTC-USDT", status="removed"))) == (False, False)
    assert after(SymbolAdded(instrument("BTC-USDT"))) == (True, True)
    assert after(SymbolUpdated(instrument("BTC-USDT", status="break"))) == (True, True)
    assert after(SymbolUpdated(instrument("BTC-USDT", status="removed"))) == (False, False)
    assert after(SymbolUpdated(instrument("BTC-USDT"))) == (True, True), "it is listed again"
    assert after(SymbolDeleted(*PLACE)) == (False, False)
