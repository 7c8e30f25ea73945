"""One running product for all tests that only look at it: the demo market on a fresh data dir."""

import pytest

from tests.e2e.server import Product, free_port

# The files that take longest are begun first, so that no worker is left alone with one at the end.
_LONG = ("test_live.py", "test_processes.py", "test_page.py", "test_sockets.py", "test_no_compile_after_ready.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG))


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    port = free_port()
    product = Product(
        ["up", "--exchange", "demo", "--port", str(port), "--data-dir", str(folder / "data")],
        folder,
        port=port,
        env={"CANDLEWICK_HISTORY__FETCH_CANDLES": "1000"},
    )
    product.wait_ready()
    product.until(
        "/tickers", lambda page: len(page["tickers"]) == 8 and all(t["last"] for t in page["tickers"]), seconds=60
    )
    yield product
    assert product.stop() == 0, product.text()
