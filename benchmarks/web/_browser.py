"""Chromium, driven: one process for a module, a fresh profile for each visit."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks.measure import Figure

_HERE = Path(__file__).resolve().parent
_BUILT = _HERE.parents[1] / "src/candlewick/app/static/index.html"
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZE = (1440, 900)
SLOWER = 4


def missing() -> str:
    """Why nothing can be measured here; empty when it can."""
    if not _BUILT.is_file():
        return "the page is not built: ./dev bench web builds it"
    if not _executable():
        return "no Chromium here: install one, or name it in CANDLEWICK_CHROMIUM"
    return ""


def _executable() -> str:
    named = os.environ.get("CANDLEWICK_CHROMIUM")
    return named or next((path for name in _NAMES if (path := shutil.which(name))), "")


def measured(names: dict[str, str], take: Callable[[], list[Figure]]) -> list[Figure]:
    """What ``take`` gives, or each of the names (with its unit) as not measured, with the reason."""
    why = missing()
    return [Figure(name, None, unit, "lower", note=why) for name, unit in names.items()] if why else take()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with nothing of its own to do on the network."""
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # root may not use it
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_executable(), args=[*_QUIET, *sandbox])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(browser: Browser, url: str, *, slower: int = 1) -> Iterator[tuple[Page, CDPSession]]:
    """A page in a profile without cache, its processor ``slower`` times slower, with the probe in it."""
    with browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="dark") as context:
        context.add_init_script(path=_HERE / "probe.js")
        page = context.new_page()
        devtools = context.new_cdp_session(page)
        if slower > 1:
            devtools.send("Emulation.setCPUThrottlingRate", {"rate": slower})
        page.goto(url, wait_until="commit")
        page.evaluate("probe.firstCandle")
        yield page, devtools


def frames(page: Page, seconds: float, meanwhile: Callable[[], object] | None = None) -> list[float]:
    """Milliseconds between the frames of so many seconds; ``meanwhile`` is done again and again until they are over."""
    page.evaluate("probe.startFrames()")
    end = time.monotonic() + seconds
    while meanwhile is not None and time.monotonic() < end:
        meanwhile()
    time.sleep(max(0.0, end - time.monotonic()))
    return [float(apart) for apart in page.evaluate("probe.stopFrames()")]


def long_tasks(page: Page, since_ms: float) -> list[float]:
    """Durations (ms) of the page's tasks of over 50 ms that began later than that after its start."""
    return [took for began, took in page.evaluate("probe.tasks") if began >= since_ms]


def rate(windows: list[list[float]]) -> str:
    """Frames a second over all of the windows, in words, and the longest of them."""
    every = [apart for window in windows for apart in window]
    return f"{1000 * len(every) / sum(every):.1f} frames/s, longest {max(every):.0f} ms"


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
