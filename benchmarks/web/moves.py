"""What a hand does to the chart: another timeframe, dragging and zooming, with everything else moving beside it."""

import math
import time
from collections.abc import Iterator

from playwright.sync_api import Page

from benchmarks.measure import Figure, median
from benchmarks.web._browser import chromium, frames, long_tasks, measured, quantile, rate, visit
from benchmarks.web._product import CHART, front, running

WINDOWS = 5
WINDOW_S = 5.0
KEYS = {"1": "1m", "2": "5m", "4": "1h", "5": "4h", "6": "1d"}
NAMES = {
    "timeframe switch, first time": "ms",
    "timeframe switch, again": "ms",
    "dragging and zooming the chart, frame p99": "ms",
    "dragging and zooming the chart, tasks over 50 ms": f"in {WINDOWS * WINDOW_S:.0f} s",
}


def main() -> list[Figure]:
    return measured(NAMES, _take)


def _take() -> list[Figure]:
    first, again, frame, tasks = NAMES
    with running() as product, front(product) as door, chromium() as browser:
        with visit(browser, product + CHART) as (page, _):
            time.sleep(2)
            cold, warm = [tuple(_switch(page, key) for key in KEYS) for _ in range(2)]
        with visit(browser, f"{door}/bare") as (page, _):
            bare = frames(page, WINDOW_S, _hand(page).__next__)
        with visit(browser, f"{door}/markets") as (page, _):
            time.sleep(4)
            hand = _hand(page)
            since = page.evaluate("performance.now()")
            windows = [frames(page, WINDOW_S, hand.__next__) for _ in range(WINDOWS)]
            long = long_tasks(page, since)
            bars = int(page.locator('[data-testid="price-chart"]').first.get_attribute("data-bars") or 0)
    p99 = tuple(quantile(window, 0.99) for window in windows)
    each = ", ".join(f"{name} {took:.0f}" for name, took in zip(KEYS.values(), cold, strict=True))
    return [
        Figure(first, median(cold), NAMES[first], "lower", cold, note=each),
        Figure(again, median(warm), NAMES[again], "lower", warm),
        Figure(
            frame, median(p99), NAMES[frame], "lower", p99, "bare page", quantile(bare, 0.99) / median(p99),
            f"{rate(windows)}; {bars:,} bars in the end, 500 symbols at 10 Hz beside",
        ),
        Figure(tasks, len(long), NAMES[tasks], "lower", note=f"longest {max(long, default=0):.0f} ms"),
    ]  # fmt: skip


def _switch(page: Page, key: str) -> float:
    """Milliseconds from a key to the other timeframe's candles, painted."""
    page.evaluate("probe.armSwitch()")
    page.keyboard.press(key)
    took = float(page.evaluate("probe.switched"))
    time.sleep(0.5)
    return took


def _hand(page: Page) -> Iterator[None]:
    """A hand that drags the chart to and fro in an ever wider swing and turns the wheel between, step by step."""
    box = page.locator('[data-testid="price-chart"]').first.bounding_box()
    assert box is not None
    x, y, reach = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3, box["width"] / 4
    page.mouse.move(x, y)
    while True:
        page.mouse.down()
        for step in range(120):
            page.mouse.move(x + reach * math.sin(step / 12), y)
            yield
        page.mouse.up()
        for step in range(24):
            page.mouse.wheel(0, 60 if step % 8 < 4 else -60)
            yield


if __name__ == "__main__":
    for figure in main():
        print(figure)
