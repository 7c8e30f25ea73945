"""What the control plane may say of a market, and what it may not."""

import msgspec
import pytest

from candlewick.contracts import control, topics
from candlewick.contracts.control import BadControlMessage
from candlewick.contracts.market import MarketUpdated

SOUND = MarketUpdated("binance", "open", 3, 2, ("BTC-USDT",), ("LUNA-USDT",))


def test_every_message_of_the_mirrored_topics_has_a_name_of_its_own():
    messages = [message for topic in control.TOPICS for message in topic.messages]
    assert set(control.NAMES) == set(messages)
    assert len(set(control.NAMES.values())) == len(messages)
    assert all(topic.cleanup == "compact" for topic in control.TOPICS)
    assert topics.TOPIC_OF[MarketUpdated].key == "exchange"
    assert SOUND.key == "binance"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"trading": 0, "status": "halted"},
        {"added": ("\u5e01-USDT",)},
        {"added": tuple(f"S{n}" for n in range(100))},
    ],
    ids=["usual", "halted", "a name of the venue's own", "a hundred"],
)
def test_what_is_sound_passes(change):
    control.validate(msgspec.structs.replace(SOUND, **change))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"exchange": "Binance!"}, "exchange must be a lower-case name"),
        ({"trading": 4}, "trading must be from 0 to 3, was 4"),
        ({"status": "halted"}, "status must be open with 2 trading, was 'halted'"),
        ({"status": "closed"}, "status must be open"),
        ({"added": tuple(f"S{n}" for n in range(101))}, "added must be at most 100 symbols"),
        ({"removed": (" ",)}, "removed must be at most 100 symbols"),
        ({"removed": ("BTC-USDT",)}, "was both: 'BTC-USDT'"),
    ],
    ids=["exchange", "too many trade", "trades", "no such word", "too many names", "no name", "both"],
)
def test_what_cannot_be_is_refused(change, says):
    with pytest.raises(BadControlMessage) as refused:
        control.validate(msgspec.structs.replace(SOUND, **change))
    assert says in str(refused.value)
