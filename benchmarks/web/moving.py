"""Markets with 500 symbols that all move ten times a second and a live chart: frames, long tasks, the heap."""

import time

from playwright.sync_api import CDPSession, Page

from benchmarks.measure import Figure, median
from benchmarks.web._browser import SLOWER, chromium, frames, long_tasks, measured, quantile, rate, visit
from benchmarks.web._product import front, running

WINDOWS = 5
WINDOW_S = 12.0
SLOW_WINDOW_S = 4.0
SETTLE_S = 8.0
NAMES = {
    "500 symbols at 10 Hz and a chart, frame p99": "ms",
    "500 symbols at 10 Hz and a chart, tasks over 50 ms": "in 60 s",
    "500 symbols at 10 Hz and a chart, heap growth": "% in 60 s",
    f"500 symbols at 10 Hz, {SLOWER}x slower processor, frame p95": "ms",
}


def main() -> list[Figure]:
    return measured(NAMES, _take)


def _take() -> list[Figure]:
    frame, tasks, heap, slow = NAMES
    with running() as product, front(product) as door, chromium() as browser:
        with visit(browser, f"{door}/bare") as (page, _):
            still = frames(page, WINDOW_S)
        with visit(browser, f"{door}/markets") as (page, devtools):
            time.sleep(SETTLE_S)
            windows, sizes = _watch(page, devtools, WINDOW_S)
            long = long_tasks(page, since_ms=SETTLE_S * 1000)
            told = _told(page)
        with visit(browser, f"{door}/markets", slower=SLOWER) as (page, devtools):
            time.sleep(SETTLE_S)
            slow_windows, _ = _watch(page, devtools, SLOW_WINDOW_S)
    p99 = tuple(quantile(window, 0.99) for window in windows)
    p95 = tuple(quantile(window, 0.95) for window in slow_windows)
    growth, begin = (sizes[-1] / sizes[0] - 1) * 100, f"{sizes[0] / 1e6:.1f} MB after the first seconds"
    return [
        Figure(
            frame, median(p99), NAMES[frame], "lower", p99, "still page", quantile(still, 0.99) / median(p99),
            f"{rate(windows)}; {told}",
        ),
        Figure(tasks, len(long), NAMES[tasks], "lower", note=f"longest {max(long, default=0):.0f} ms"),
        Figure(heap, growth, NAMES[heap], "lower", tuple(sizes), note=begin),
        Figure(
            slow, median(p95), NAMES[slow], "lower", p95, "still page", quantile(still, 0.95) / median(p95),
            rate(slow_windows),
        ),
    ]  # fmt: skip


def _watch(page: Page, devtools: CDPSession, seconds: float) -> tuple[list[list[float]], list[float]]:
    """Frames of five windows, and the heap's size (bytes, after a collection) before the first and behind each."""
    windows, sizes = [], [_heap(devtools)]
    for _ in range(WINDOWS):
        windows.append(frames(page, seconds))
        sizes.append(_heap(devtools))
    return windows, sizes


def _heap(devtools: CDPSession) -> float:
    devtools.send("HeapProfiler.collectGarbage")
    return float(devtools.send("Runtime.getHeapUsage")["usedSize"])


def _told(page: Page) -> str:
    """What the page itself shows of the load, so that a silent door is not taken for a fast page."""
    rows = page.locator("[data-symbol]")
    before = rows.all_inner_texts()
    time.sleep(0.5)
    moved = sum(old != new for old, new in zip(before, rows.all_inner_texts(), strict=False))
    return f"{moved} of {len(before)} rows on the screen moved within half a second"


if __name__ == "__main__":
    for figure in main():
        print(figure)
