"""Candles on a PostgreSQL server: a row a candle, in tables partitioned by day."""

from candlewick.adapters.candles.postgres.store import PostgresCandleStore

__all__ = ["PostgresCandleStore"]
