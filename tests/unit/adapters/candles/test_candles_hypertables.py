"""What TimescaleDB is asked for, without a server that has it: the statements, and what a refused order leaves."""

import re

import asyncpg
import pytest

from candlewick.adapters.candles.postgres import hypertables
from candlewick.adapters.candles.postgres.schema import DAY_NS, span_ns
from candlewick.contracts.timeframes import SECONDS


@pytest.mark.parametrize("seconds", sorted(SECONDS.values()))
def test_a_chunk_is_what_a_partition_is_elsewhere(seconds: int) -> None:
    (made,) = [one for one in hypertables.made(seconds) if "create_hypertable" in one]
    found = re.search(r"by_range\('open_time', (\d+)::bigint\)", made)
    assert found is not None
    assert int(found[1]) == span_ns(seconds)
    assert int(found[1]) == DAY_NS or seconds > 60


@pytest.mark.parametrize("seconds", sorted(SECONDS.values()))
def test_nothing_is_compressed_while_a_trade_may_revise_it(seconds: int) -> None:
    text = " ".join(hypertables.orders(seconds)[0])
    found = re.search(r"compress_after => (\d+)::bigint", text)
    assert found is not None
    # a chunk is as old as its end; a day's last candle may be revised a day later
    assert int(found[1]) >= span_ns(seconds) + DAY_NS
    assert "compress_segmentby = 'series'" in text


def test_only_minutes_are_summed_up() -> None:
    summed = {seconds for seconds in SECONDS.values() if len(hypertables.orders(seconds)) > 1}
    assert summed == {60}
    view, policy = hypertables.summed_up(60)
    assert "timescaledb.continuous" in view
    assert "WITH NO DATA" in view, "with data it cannot be made inside a transaction"
    assert "add_continuous_aggregate_policy('candles.daily_60'" in policy


def test_the_server_drops_later_than_the_store() -> None:
    off, on = hypertables.forgetting(60, 9 * DAY_NS)
    assert "remove_retention_policy('candles.candle_60', if_exists => true)" in off
    assert f"add_retention_policy('candles.candle_60', drop_after => {9 * DAY_NS}::bigint)" in on


class Session:
    """A connection that refuses what names ``refused``."""

    def __init__(self, refused: str, error: type[asyncpg.PostgresError]) -> None:
        self.told: list[str] = []
        self._refused, self._error = refused, error

    async def execute(self, statement: str) -> None:
        self.told.append(statement)
        if self._refused in statement:
            raise self._error("not under this licence")


async def test_a_refused_order_is_undone_and_gone_without() -> None:
    session = Session("add_compression_policy", asyncpg.FeatureNotSupportedError)
    await hypertables._ordered(session, hypertables.orders(60)[0])
    assert session.told[0] == "SAVEPOINT standing_order"
    assert session.told[-1] == "ROLLBACK TO SAVEPOINT standing_order"
    sound = Session("nothing like this", asyncpg.FeatureNotSupportedError)
    await hypertables._ordered(sound, hypertables.orders(60)[0])
    assert sound.told[-1] == "RELEASE SAVEPOINT standing_order"


async def test_what_is_no_refusal_is_not_swallowed() -> None:
    session = Session("add_compression_policy", asyncpg.DiskFullError)
    with pytest.raises(asyncpg.DiskFullError):
        await hypertables._ordered(session, hypertables.orders(60)[0])
