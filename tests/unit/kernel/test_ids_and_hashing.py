"""LAWS 9 and 10: ids that a replay mints again, and partitions that every adapter agrees on."""

import pytest

from candlewick.kernel.hashing import murmur2, partition_of
from candlewick.kernel.ids import derived_id, uuid7
from candlewick.kernel.system import SystemIds


def test_uuid7_carries_its_time_and_version():
    made = uuid7(1_700_000_000_123, (1 << 74) - 1)
    assert made.version == 7
    assert made.int >> 80 == 1_700_000_000_123
    with pytest.raises(ValueError, match="48 bits"):
        uuid7(1 << 48, 0)


def test_ids_of_one_source_grow():
    ids = SystemIds()
    made = [ids.new() for _ in range(2000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_a_replay_mints_the_same_derived_id():
    inputs = (("raw.market-data", 3, 77),)
    first = derived_id("candles", 1, inputs, 0)
    assert first == derived_id("candles", 1, inputs, 0)
    others = {
        derived_id("candles", 2, inputs, 0),
        derived_id("candles", 1, inputs, 1),
        derived_id("candles", 1, (("raw.market-data", 4, 77),), 0),
        derived_id("other", 1, inputs, 0),
    }
    assert len(others | {first}) == 5
    assert first.version == 8


@pytest.mark.parametrize(
    ("data", "value"), [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)]
)
def test_murmur2_is_kafkas(data, value):
    """Values of Kafka's own UtilsTest."""
    assert murmur2(data) - (1 << 32) == value


def test_partition_is_stable():
    assert partition_of("binance:BTC-USDT", 30) == partition_of("binance:BTC-USDT", 30) < 30
