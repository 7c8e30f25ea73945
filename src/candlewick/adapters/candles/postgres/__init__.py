"""Candles on a PostgreSQL server: a row a candle, in tables cut by day, on TimescaleDB where the database has it."""

from candlewick.adapters.candles.postgres.schema import layout_of
from candlewick.adapters.candles.postgres.store import PostgresCandleStore

__all__ = ["PostgresCandleStore", "layout_of"]
