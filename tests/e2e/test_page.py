"""The page in a real browser on the running product: what it shows of real candles, sockets, gaps and ticks. States
that are made up and every width and theme are looked at beside the mock."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
BROWSERS = (os.environ.get("CANDLEWICK_CHROMIUM", ""), "chromium-headless-shell", "chromium", "google-chrome")
ARTEFACTS = WEB / "test-artifacts/product"


@pytest.fixture(scope="module")
def npx():
    found = shutil.which("npx")
    if found is None or not (WEB / "node_modules/.bin/playwright").exists():
        pytest.skip("the web packages are not installed: ./dev test installs them")
    if not (ROOT / "src/candlewick/app/static/index.html").is_file():
        pytest.skip("the page is not built: ./dev test builds it")
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium here: install one, or name it in CANDLEWICK_CHROMIUM")
    return found


def _passes(npx, demo, *arguments):
    """The browser suite's specs named, pointed at the product; screenshots are kept in ``ARTEFACTS``."""
    command = [npx, "playwright", "test", "--config", "e2e/playwright.config.ts", *arguments]
    env = os.environ | {"BASE_URL": demo.base, "ARTEFACTS": str(ARTEFACTS)}
    run = subprocess.run(command, cwd=WEB, env=env, capture_output=True, text=True, check=False, timeout=550)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]


def test_candles_move_and_every_timeframe_comes_by_its_key(npx, demo):
    for old in ARTEFACTS.glob("moving-*.png"):
        old.unlink()
    _passes(npx, demo, "rooms.spec.ts")
    kept = {path.name for path in ARTEFACTS.glob("moving-*.png") if path.stat().st_size > 10_000}
    assert {"moving-markets.png", "moving-chart.png", "moving-1m.png", "moving-1d.png"} <= kept


def test_the_page_is_honest_about_sockets_gaps_and_modes(npx, demo):
    _passes(npx, demo, "honesty.spec.ts")


def test_nothing_shifts_under_real_ticks(npx, demo):
    _passes(npx, demo, "shifts.spec.ts", "--grep", "at 1440")
