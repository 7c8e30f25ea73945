"""From the address to candles on the screen, warm server, empty cache, in each room that shows them."""

from benchmarks.measure import Figure, median
from benchmarks.web._browser import SLOWER, chromium, measured, visit
from benchmarks.web._product import CHART, front, running

RUNS = 5
_SLOW = f"{SLOWER}x slower processor"
NAMES = {
    "first candle, chart": "s",
    "first candle, markets": "s",
    f"first candle, chart, {_SLOW}": "s",
    "first paint, chart": "s",
}


def main() -> list[Figure]:
    return measured(NAMES, _take)


def _take() -> list[Figure]:
    wanted = {
        "bare": ("/bare", 1),
        "chart": (CHART, 1),
        "markets": ("/markets", 1),
        "slow bare": ("/bare", SLOWER),
        "slow": (CHART, SLOWER),
    }
    candle: dict[str, list[float]] = {name: [] for name in wanted}
    paint: dict[str, list[float]] = {name: [] for name in wanted}
    with running() as product, front(product) as door, chromium() as browser:
        for run in range(RUNS + 1):
            # each in turn, so that what else the machine does falls on all of them; the first round does not count
            for name, (path, slower) in wanted.items():
                address = (door if "bare" in name else product) + path
                with visit(browser, address, slower=slower) as (page, _):
                    first, painted = page.evaluate("Promise.all([probe.firstCandle, probe.firstPaint()])")
                if run:
                    candle[name].append(first / 1000)
                    if painted is not None:  # Chromium does not tell it of every visit
                        paint[name].append(painted / 1000)
    return [
        _figure("first candle, chart", candle["chart"], candle["bare"]),
        _figure("first candle, markets", candle["markets"], candle["bare"]),
        _figure(f"first candle, chart, {_SLOW}", candle["slow"], candle["slow bare"]),
        _figure("first paint, chart", paint["chart"], paint["bare"]),
    ]


def _figure(name: str, ours: list[float], bare: list[float]) -> Figure:
    if not ours or not bare:
        return Figure(name, None, "s", "lower", note="the browser did not tell it")
    samples, floor = tuple(ours), median(tuple(bare))
    note = f"the chart library alone with the same candles: {floor:.3f} s"
    return Figure(name, median(samples), "s", "lower", samples, "bare page", floor / median(samples), note)


if __name__ == "__main__":
    for figure in main():
        print(figure)
