"""One running product for all tests that only look at it: the demo market on a fresh data dir."""

import pytest

from tests.e2e.server import Product, free_port


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
