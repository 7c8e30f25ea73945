"""However frames are cut into blocks, the same trades, gaps, Progress and quotes come out as one frame at a time."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from candlewick.adapters.venues.binance.parse import BinanceParser
from candlewick.contracts.collector import BookUpdated, GapSuspected, Progress, QuoteUpdated
from candlewick.contracts.market import Instrument
from candlewick.testing.binance.sink import KeepingSink

T0 = 1_700_000_000_000
NAMES = ("BTC", "ETH")
INSTRUMENTS = [
    Instrument("binance", f"{n}-USDT", f"{n}USDT", n, "USDT", "0.01", "0.00001", 2, 5, "trading") for n in NAMES
]

step = st.tuples(
    st.sampled_from(["trade"] * 12 + ["quote"] * 6 + ["kline", "junk", "far", "finer", "old", "spaced", "bad"]),
    st.sampled_from(NAMES),
    st.sampled_from([1] * 20 + [2, 5, 0, -1, 2_000_000]),  # how far the id moves
    st.sampled_from([0, 1, 3, 40, 400, 12_000]),  # ms until the frame
    st.integers(1, 9),
)


def frames_of(steps: list[tuple[str, str, int, int, int]]) -> list[tuple[int, bytes]]:
    ids = dict.fromkeys(NAMES, 1000)
    ms = T0
    out = []
    for kind, name, move, pause, n in steps:
        ms += pause
        symbol = f"{name}USDT"
        stream = f"{name.lower()}usdt@trade"
        data: dict[str, object]
        if kind == "quote":
            stream = f"{name.lower()}usdt@bookTicker"
            data = {
                "u": ms,
                "s": symbol,
                "b": f"{n}.00000000",
                "B": "1.00000000",
                "a": "11.50000000",
                "A": "0.00000000",
            }
        elif kind == "kline":
            stream = f"{name.lower()}usdt@kline_1m"
            data = {"e": "kline", "E": ms, "s": symbol, "k": {}}
        else:
            ids[name] += move
            price = f"{n}.12300000" if kind == "finer" else f"{n}.12000000"
            time = ms + {"far": 90_000, "old": -90_000}.get(kind, 0)
            size = "-1.00000000" if kind == "bad" else f"0.{n:05}000"
            data = {"e": "trade", "E": time, "s": symbol, "t": ids[name], "p": price, "q": size, "T": time,
                    "m": n % 2 == 0, "M": True}  # fmt: skip
        spaces = None if kind == "spaced" else (",", ":")
        raw = json.dumps({"stream": stream, "data": data}, separators=spaces).encode()
        out.append((ms * 1_000_000 + n, b"{" if kind == "junk" else raw))
    return sorted(out, key=lambda f: f[0])


@settings(max_examples=150, deadline=None)
@given(st.lists(step, min_size=1, max_size=150), st.integers(1, 160), st.sampled_from([1, 7, 256]))
def test_blocks_and_single_frames_agree(steps: list[tuple[str, str, int, int, int]], size: int, batch: int) -> None:
    frames = frames_of(steps)
    one, many = KeepingSink(), KeepingSink()
    single, blocks = (BinanceParser(INSTRUMENTS, batch=batch) for _ in range(2))
    for ts_recv, raw in frames:
        single.parse(ts_recv, raw, one)
    for start in range(0, len(frames), size):
        blocks.parse_many(frames[start : start + size], many)
    single.finish(frames[-1][0], one)
    blocks.finish(frames[-1][0], many)
    for kind in (GapSuspected, Progress, QuoteUpdated, BookUpdated):
        for name in NAMES:
            assert many.of(kind, f"{name}-USDT") == one.of(kind, f"{name}-USDT")
    for name in NAMES:
        assert many.trades(f"{name}-USDT") == one.trades(f"{name}-USDT")
    assert many.codes() == one.codes()
    assert blocks.frames == single.frames == len(frames)
    assert blocks.clock.frontier == single.clock.frontier
    for a, b in zip(blocks.states(), single.states(), strict=True):
        assert a.trades.checkpoint() == b.trades.checkpoint()
