"""Columns are written past protobuf; the bytes must be protobuf's own, for every length and scale [11]."""

import numpy as np
import pytest

from candlewick.contracts import codec
from candlewick.contracts._gen.candlewick.stream.v1 import candles_pb2
from candlewick.contracts.stream import CandleBatch, CandleColumns
from candlewick.quant.candles import rows
from candlewick.quant.candles.layout import ROW

LENGTHS = (0, 1, 2, 15, 16, 127, 128, 300, 4096)


def candles(length: int, price_scale: int, size_scale: int) -> CandleBatch:
    drawn = np.random.default_rng(length).integers(0, 1 << 40, (max(length, 1), ROW))
    return CandleBatch("binance", "BTC-USDT", rows.columns(drawn, np.arange(length), False, price_scale, size_scale))


@pytest.mark.parametrize("scales", [(0, 0), (2, 8), (18, 18)])
@pytest.mark.parametrize("length", LENGTHS)
def test_bytes_are_protobufs_own(length: int, scales: tuple[int, int]) -> None:
    message = candles(length, *scales)
    for _ in range(2):  # the second time from what was kept of the first
        data = codec.encode(message)
        again = candles_pb2.CandleBatch.FromString(data)
        assert again.SerializeToString(deterministic=True) == data
        assert len(again.columns_v1.open.data) == 8 * length
        back = codec.decode("CandleBatch", data)
        assert isinstance(back, CandleBatch)
        for name in CandleColumns.__struct_fields__:
            assert np.array_equal(getattr(back.columns_v1, name), getattr(message.columns_v1, name)), name
