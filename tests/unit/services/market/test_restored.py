"""The market service with a table of symbols that came back from a backup, beside a log that knows none of them."""

from pathlib import Path

import pytest

from candlewick.app.configuration import read
from candlewick.app.profiles.embedded import EmbeddedResources
from candlewick.app.registry import load
from candlewick.app.runtime.host import running
from candlewick.contracts import codec
from candlewick.contracts.market import SymbolAdded
from candlewick.services.market.storage import SqlSymbolTable


async def _told(resources: EmbeddedResources, least: int) -> list[str]:
    """Symbols that the log was told of, once there are so many."""
    consumer = await resources.log.consumer(["market.symbols"], group=None, member="reader", start="oldest")
    found: list[str] = []
    for _ in range(100):
        for record in await consumer.poll(timeout_s=0.1):
            assert record.value is not None
            message = codec.decode(codec.decode_envelope(record.header).type, record.value)
            assert isinstance(message, SymbolAdded)
            found.append(message.instrument.symbol)
        if len(found) >= least:
            break
    found += [record.key for record in await consumer.poll(timeout_s=0.5)]
    await consumer.close()
    return found


@pytest.mark.slow
async def test_a_log_that_knows_no_symbol_is_told_once(tmp_path: Path) -> None:
    config = read(data_dir=tmp_path, flags=["market.exchange=demo"], environ={})
    schema = load("market").schema
    assert schema is not None
    resources = EmbeddedResources(tmp_path, config.app, mode="live")
    database = await resources.own("database", "market", "restore")
    await database.migrate(schema)
    async with database.transaction() as tx:
        for at, instrument in enumerate(await resources.venue("demo").instruments()):
            if instrument.symbol in ("BTC-USDT", "ETH-USDT"):
                assert await SqlSymbolTable().add(tx, instrument, at)
    await database.close()
    for _ in range(2):
        resources = EmbeddedResources(tmp_path, config.app, mode="live")
        async with running(["market"], config, resources, member="test"):
            assert sorted(await _told(resources, 2)) == ["BTC-USDT", "ETH-USDT"]
